"""Calls of a WSGI application without a server."""

from __future__ import annotations

from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator


def make_environ(path="/", **given):
    """What a server gives an application."""
    made = {"PATH_INFO": path, "QUERY_STRING": "", "SCRIPT_NAME": "", **given}
    setup_testing_defaults(made)
    return made


def call(application, path="/", **given):
    """Call an application as a server does that holds it to PEP 3333."""
    seen = []
    body = validator(application)(make_environ(path, **given), lambda *head: seen.append(head))
    try:
        data = b"".join(body)
    finally:
        body.close()
    ((status, headers),) = seen
    return int(status.partition(" ")[0]), dict(headers), data
