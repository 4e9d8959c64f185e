"""Whose failure an exception of a stock client is: Glance's, Keystone's, or that of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .._signals import is_from_signal_handler
from ..reasons import find_reason

if TYPE_CHECKING:
    from types import TracebackType

_OF_TOKENS = frozenset({"get_auth_headers", "get_endpoint", "get_endpoint_data"})
"""The methods of sessions that ask Keystone."""

_SESSIONS = ("keystoneauth1.", "keystoneclient.")
"""How the modules of those begin."""

_DISCOVERS = "get_versioned_data"
"""The method of keystoneauth1 that asks a server itself for its versions, not Keystone."""

_OF_SERVERS = frozenset(
    (f"{service}.image.glance", "_create_onetime_client") for service in ("nova", "cinder")
)
"""The methods of services that find a server, before any request to Glance."""

_OF_DATA = frozenset(
    {("glanceclient.common.http", "_chunk_body"), ("requests.models", "prepare_body")}
)
"""The functions that read the data of an upload, and that find out how to send it."""

_OF_CHECKSUMS = frozenset({"integrity_iter", "serious_integrity_iter", "_verify_checksum"})
"""The functions of python-glanceclient, which raise an OSError, and of openstacksdk that compare
checksums."""


class Blame(NamedTuple):
    """What an exception of a call has to do with whom.

    Attributes:
        links: The ids of the exception, of all that it was raised from, and of their responses.
        keystone: What Keystone's failure raised; None if it did not fail.
        caller: Whether it is the caller's: a signal handler raised it, such as a time limit, or
            the data of an upload.
        lost: Whether there was no server to ask: by the configuration, by Keystone's catalogue, or
            because the server has not the version.
        checksum: Whether the data is not what its checksum says.
    """

    links: frozenset[int]
    keystone: BaseException | None = None
    caller: bool = False
    lost: bool = False
    checksum: bool = False

    def has(self, cause: object) -> bool:
        """Return whether an exception or a response is among those."""
        return id(cause) in self.links


NOBODY = Blame(frozenset())
"""Of a call that raised nothing."""


def find_blame(error: BaseException, handled: BaseException | None) -> Blame:
    """Examine an exception and all that it was raised from, or while they were handled.

    Args:
        error: The exception.
        handled: What the caller was handling when its call began; it and its causes are left out.
    """
    links: dict[int, BaseException] = {}
    pending: list[BaseException | None] = [error]
    while pending:
        link = pending.pop()
        if link is not None and (link is error or link is not handled) and id(link) not in links:
            links[id(link)] = link
            pending += (link.__cause__, link.__context__)
    chain = links.values()
    responses = (getattr(link, "response", None) for link in chain)
    return Blame(
        frozenset(links).union(id(each) for each in responses if each is not None),
        keystone=next(filter(_is_of_keystone, chain), None),
        caller=any(map(_is_of_caller, chain)),
        lost=any(map(_is_lost, chain)),
        checksum=any(map(_is_of_checksum, chain)),
    )


def _is_of_keystone(error: BaseException) -> bool:
    """Return whether a request failed while its session asked Keystone, for Glance."""
    frames = list_frames(error.__traceback__)
    names = {name for module, name in frames if module.startswith(_SESSIONS)}
    # Beside a request, the client also asks for the endpoint to name it in an error.
    asks = ("keystoneauth1.adapter", "request") in frames or not _OF_SERVERS.isdisjoint(frames)
    return (
        asks
        and not names.isdisjoint(_OF_TOKENS)
        and _DISCOVERS not in names
        and not _is_of_catalogue(error)
    )


def _is_of_caller(error: BaseException) -> bool:
    return is_from_signal_handler(error) or not _OF_DATA.isdisjoint(
        list_frames(error.__traceback__)
    )


def _is_lost(error: BaseException) -> bool:
    if _is_of_catalogue(error):
        return True
    return isinstance(error, Exception) and not _OF_SERVERS.isdisjoint(
        list_frames(error.__traceback__)
    )


def _is_of_checksum(error: BaseException) -> bool:
    frames = list_frames(error.__traceback__)
    return bool(frames) and frames[-1][1] in _OF_CHECKSUMS


def _is_of_catalogue(error: BaseException) -> bool:
    """Return whether keystoneauth1 found no endpoint, which its CatalogException says."""
    return any(
        kind.__name__ == "CatalogException" and kind.__module__.startswith("keystoneauth1.")
        for kind in type(error).__mro__
    )


def find_stream_reason(error: BaseException, handled: BaseException | None) -> str:
    """Return the reason of a broken stream; empty if its caller broke it off.

    Args:
        error: What reading the stream raised.
        handled: What its reader was handling when it began.
    """
    if not isinstance(error, Exception) or is_from_signal_handler(error):
        return ""
    # The library raises EPIPE for wrong data, and so the type alone would mean a broken connection.
    if _is_of_checksum(error):
        return "checksum_mismatch"
    return find_reason(error, handled)


def list_frames(trace: TracebackType | None) -> list[tuple[str, str]]:
    """Return the modules and names of the functions that an exception went through."""
    frames = []
    while trace is not None:
        frame, trace = trace.tb_frame, trace.tb_next
        frames.append((frame.f_globals.get("__name__", ""), frame.f_code.co_name))
    return frames
