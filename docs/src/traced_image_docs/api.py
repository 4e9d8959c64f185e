"""The page of the API, made of the docstrings and signatures of all that is public."""

from __future__ import annotations

import inspect
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import traced_image
from traced_image import exporter, telemetry
from traced_image.exporter.web.handle import ExporterHandle
from traced_image.telemetry.attempt_record import AttemptRecord
from traced_image.telemetry.recorder import CallRecord
from traced_image.telemetry.sdk import Providers
from traced_image.telemetry.stream_record import StreamRecord

from . import api_examples, docstrings, lab_examples, signatures
from .pages import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

EXAMPLES = {**api_examples.EXAMPLES, **lab_examples.EXAMPLES}

SHARED = {
    "context": "On whose behalf the call is made: a caller's context, or None for the service"
    " itself.",
    "image_id": "The image's UUID; for `S3ImageService` an integer, or text such as"
    " `ami-0000000a`.",
    "image_meta": "The image's fields, as `show` returns them.",
    "data": "The image's data: bytes, a binary file, or an iterable of bytes; for a download, a"
    " binary file to write to.",
    "dst_path": "A file to write to, if `data` is not given.",
    "purge_props": "Whether to remove the properties that `image_meta` does not have.",
    "stores": "The names of the stores to copy the image to.",
    "uuid": "The image's UUID, or None.",
    "endpoint": "A URL, or `host:port`.",
    "fault": "A fault, made by a function of `lab.faults`.",
    "image": "The image.",
    "kwargs": "The arguments of `GlanceImageService.detail`.",
    "count": "How many.",
}
"""Arguments that several methods have, for the methods whose docstrings do not repeat them."""

INTERNAL = {
    "Download": {"of", "at_end", "begin", "continues", "wait"},
    "Fault": {
        *("is_narrowed", "is_partial", "leaves"),
        *("meets", "meets_connections", "meets_requests"),
    },
    "GlanceClientWrapper": {"accuse", "reject"},
    "GlanceServer": {"record", "context", "converse", "forget", "await_requests", "wake"},
    "Identity": {"has", "is_admin"},
    "Image": {"with_base", "with_data", "with_checked_data", "with_refused_data", "view", "json"},
    "Images": {"new", "put", "save", "is_used", "get_removed", "timestamp"},
    "Limits": {"check_properties", "check_tags", "check_size"},
    "Proxy": {"record", "context", "converse", "forget", "await_requests", "wake"},
    "Control": {
        *("await_requests", "wake"),
        *("record", "context", "converse", "forget", "heal", "break_with", "clear_log", "reset"),
        *("find_requests", "wait_for", "assert_called", "assert_not_called"),
    },
    "S3ImageService": {"default"},
    "TLS": {"choose"},
}
"""Methods that only this package calls. The page names them, and says no more of them."""

RETURNED = {
    "AttemptRecord",
    "CallRecord",
    "Download",
    "ExporterHandle",
    "Providers",
    "Recorder",
    "ServerHealth",
    "StreamRecord",
    *("Access", "Fault", "Image", "TLS"),
}
"""Classes whose objects come out of calls: a program does not make them itself."""

_CONFIGURATION = {"Config", "RetryPolicy"}
"""Classes whose fields have a page of their own."""


def _take(names: str) -> dict[str, Any]:
    return {name: getattr(traced_image, name) for name in names.split()}


GROUPS: Mapping[str, Mapping[str, Any]] = {
    "entry": _take("connect load_config get_default_image_service get_remote_image_service"),
    "values": _take("Config RetryPolicy Server RequestContext ServerHealth"),
    "services": _take("GlanceImageService Download GlanceClientWrapper S3ImageService"),
    "telemetry": {
        "Telemetry": telemetry.Telemetry,
        "setup": telemetry.setup,
        "child_exit": telemetry.child_exit,
        "make_recorder": telemetry.make_recorder,
        "Recorder": telemetry.Recorder,
        "current_call": telemetry.current_call,
        "CallRecord": CallRecord,
        "AttemptRecord": AttemptRecord,
        "StreamRecord": StreamRecord,
        "Providers": Providers,
    },
    "exporter": {
        "exporter.start": exporter.start,
        "exporter.asgi_app": exporter.asgi_app,
        "exporter.wsgi_app": exporter.wsgi_app,
        "exporter.start_from_environment": exporter.start_from_environment,
        "ExporterHandle": ExporterHandle,
    },
}
"""What the page has, by the places that it fills. The errors have a table of their own."""


def is_error(thing: object) -> bool:
    """Whether something public is an error."""
    return inspect.isclass(thing) and issubclass(thing, Exception)


def list_members(kind: type) -> dict[str, Any]:
    """Return a class's public methods and properties by their names, in the order of its code."""
    return {
        name: member
        for base in reversed(kind.__mro__[:-1])
        for name, member in vars(base).items()
        if not name.startswith("_") and is_documented(member)
    }


def is_documented(member: object) -> bool:
    """Whether a member of a class is a function, or reads as an attribute by one."""
    kinds = (property, cached_property, classmethod, staticmethod)
    return inspect.isfunction(member) or isinstance(member, kinds)


def write_group(things: Mapping[str, Any]) -> str:
    """Write a section for each of some classes and functions, with its members."""
    return "\n\n".join(part for name, thing in things.items() for part in _write(name, thing))


def _write(name: str, thing: Callable[..., object]) -> Iterator[str]:
    if not inspect.isclass(thing):
        yield from _write_function(f"### {name}", name, name, thing)
        return
    doc = docstrings.read(thing)
    yield f"### {name}"
    if name not in RETURNED | _CONFIGURATION:
        yield _code(signatures.write(name, thing))
    yield doc.text
    if name in _CONFIGURATION:
        yield "Its fields are in [configuration](configuration.md)."
    else:
        yield from _write_entries("argument", doc.arguments if name not in RETURNED else {})
        yield from _write_entries("attribute", doc.attributes)
    yield from _write_entries("error", doc.raises)
    yield from _write_example(name)
    internal = INTERNAL.get(name, set())
    for member, value in list_members(thing).items():
        if member not in internal:
            yield from _write_member(name, member, value)
    if internal:
        names = ", ".join(f"`{each}`" for each in sorted(internal))
        yield f"Only this package calls {names} of `{name}`."


def _write_member(owner: str, name: str, member: object) -> Iterator[str]:
    full = f"{owner}.{name}"
    if isinstance(member, (property, cached_property)):
        doc = docstrings.read(member)
        yield f"#### {full}"
        yield f"Property. {doc.text}"
        yield from _write_entries("error", doc.raises)
        return
    is_bound = isinstance(member, (classmethod, staticmethod))
    function: Any = getattr(member, "__func__", member)
    yield from _write_function(f"#### {full}", full if is_bound else name, full, function)


def _write_function(
    heading: str, call: str, name: str, function: Callable[..., object]
) -> Iterator[str]:
    doc = docstrings.read(function)
    yield heading
    yield _code(signatures.write(call, function))
    yield doc.text
    yield from _write_entries("argument", describe_arguments(function))
    if doc.returns:
        yield f"Returns: {doc.returns}"
    yield from _write_entries("error", doc.raises)
    yield from _write_example(name)


def describe_arguments(function: Callable[..., object]) -> dict[str, str]:
    """Return what each argument is: in the docstring's words, else in those of `SHARED`.

    Raises:
        LookupError: Neither says what it is.
    """
    said = docstrings.read(function).arguments
    names = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
    missing = [name for name in names if name not in said and name not in SHARED]
    if missing:
        raise LookupError(f"{function.__qualname__}: say what {', '.join(missing)} is")
    return {name: said.get(name) or SHARED[name] for name in names}


def _write_entries(what: str, entries: Mapping[str, str]) -> Iterator[str]:
    if entries:
        meaning = "when" if what == "error" else "what it is"
        yield table((what, meaning), ((f"`{name}`", text) for name, text in entries.items()))


def _write_example(name: str) -> Iterator[str]:
    if name in EXAMPLES:
        yield f"```python\n{EXAMPLES[name].strip()}\n```"


def _code(text: str) -> str:
    return f"```text\n{text}\n```"


def _write_errors() -> str:
    rows = (
        (f"`{name}`", docstrings.read(thing).summary, _list_attributes(thing))
        for name, thing in sorted(vars(traced_image).items())
        if name in traced_image.__all__ and is_error(thing)
    )
    return table(("error", "what it means", "attributes"), rows)


def _list_attributes(kind: type) -> str:
    names = (name for base in reversed(kind.__mro__) for name in docstrings.read(base).attributes)
    return ", ".join(f"`{name}`" for name in _unique(names))


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


TABLES: Mapping[str, Callable[[], str]] = {
    **{name: partial(write_group, group) for name, group in GROUPS.items()},
    "errors": _write_errors,
}
