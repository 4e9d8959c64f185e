"""Requests sent by way of an application's instrumentation of ``requests``, which traces them."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class _InstrumentedReply(Protocol):
    """What the instrumentation reads from a reply."""

    status: int
    version: str

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their names in lower case."""


_ReplyT = TypeVar("_ReplyT", bound=_InstrumentedReply)


def send_instrumented(
    send: Callable[[PreparedRequest], _ReplyT],
    prepared: PreparedRequest,
    note: Callable[[Exception], None],
) -> _ReplyT:
    """Send a request as `Session.send` of ``requests`` would, by another function.

    The instrumentation replaces `Session.send`. So it makes its span, records its metric and calls
    its hooks, wherever the application told it to, and nothing here needs to know where. Its hooks
    see the status and the headers of the reply, and no body.

    Args:
        send: Sends the request.
        prepared: The request.
        note: Counts a failure of the instrumentation, which does not reach the caller.

    Returns:
        What `send` returned.
    """
    adapter = _ExchangeAdapter(send)
    try:
        with Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, adapter)
            session.send(prepared, stream=True, allow_redirects=False, proxies={})
    except Exception as error:  # noqa: BLE001 such as a hook's
        if error is not adapter.error:
            note(error)
    if adapter.error is not None:
        raise adapter.error
    return send(prepared) if adapter.reply is None else adapter.reply


class _ExchangeAdapter(BaseAdapter, Generic[_ReplyT]):
    """A transport of ``requests`` that sends by a function, and keeps what came of it."""

    def __init__(self, send: Callable[[PreparedRequest], _ReplyT]) -> None:
        super().__init__()
        self._send = send
        self.reply: _ReplyT | None = None
        self.error: Exception | None = None

    def send(self, request: PreparedRequest, *_: object, **__: object) -> Response:
        """Send the request; return a response without its body."""
        try:
            reply = self.reply = self._send(request)
        except Exception as error:
            self.error = error
            raise
        response = Response()
        response.request = request
        response.url = str(request.url)
        response.status_code = reply.status
        # Without `Location`, because the caller follows redirects itself.
        headers = {name: text for name, text in reply.headers.items() if name != "location"}
        response.headers.update(headers)
        response.raw = _NoBody(reply.version)
        return response

    def close(self) -> None:
        """Do nothing: the caller closes its connections."""


class _NoBody(BytesIO):
    """The raw response without its body, which has the version as ``http.client`` writes it."""

    def __init__(self, version: str) -> None:
        super().__init__()
        self.version = int(version.replace(".", ""))
