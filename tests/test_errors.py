"""The error tree: what it is made of, what each status becomes, and what survives a pickle."""

import copy
import pickle
import re

import pytest

from traced_image import errors

DRAWN = re.compile(r"^ {4}(?P<stem>[│ ├└─]*)(?P<name>[A-Z]\w+)(?P<rest>.*)$", re.MULTILINE)


def drawn():
    """The tree in the docstring: each class with its parent, and whether it is marked."""
    path, found = [], {}
    for line in DRAWN.finditer(errors.__doc__):
        depth = len(line["stem"]) // 4
        path[depth:] = [line["name"]]
        found[line["name"]] = (path[depth - 1] if depth else None, "[Retryable]" in line["rest"])
    return found


def built():
    """The same of the classes."""
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.TracedImageError)
    ]
    return {
        kind.__name__: (
            None if kind is errors.TracedImageError else kind.__bases__[0].__name__,
            errors.Retryable in kind.__bases__,
        )
        for kind in kinds
    }


CLASSES = [getattr(errors, name) for name in built()]


def make(kind):
    """An error of a class, with all that its constructor takes."""
    if issubclass(kind, errors.ConfigError):
        return kind("servers", "it is wrong", source="nova.conf", fix="fix it")
    if issubclass(kind, errors.GlanceConnectionFailed):
        return kind("http://glance-1:9292", errors.Reason("read_timeout"), "no answer")
    if issubclass(kind, errors.HTTPStatusError):
        return kind("refused", status=418, retry_after=2.5, request_id="req-1")
    if issubclass(kind, errors.AttemptError):
        reason = errors.Reason("connection_reset")
        return kind("broken", reason=reason, reached=False, request_id="req-1")
    return kind("wrong")


def test_the_tree_that_is_drawn_is_the_tree_that_is_built():
    assert drawn() == built()


def test_every_error_says_what_it_means():
    assert [] == [kind for kind in CLASSES if not kind.__doc__]


@pytest.mark.parametrize("copied", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
def test_an_error_survives_copy_and_pickle(copied):
    made = [make(kind) for kind in CLASSES]
    for error in made:
        error.attempts = (errors.FailedAttempt("http://glance-1:9292", "503", 0.25, "req-1"),)
    assert [told(error) for error in made] == [told(copied(error)) for error in made]


def told(error):
    return type(error), str(error), vars(error)


@pytest.mark.parametrize("name", ["ConfigError", "InvalidArgument"])
def test_a_bad_value_is_a_value_error(name):
    assert issubclass(getattr(errors, name), ValueError)


def test_a_configuration_error_names_item_source_and_mend():
    error = make(errors.InvalidServer)
    assert str(error) == "servers (from nova.conf): it is wrong; fix it."


def test_a_configuration_error_keeps_item_and_source():
    error = make(errors.InvalidServer)
    assert (error.item, error.source) == ("servers", "nova.conf")


def test_giving_up_reads_as_in_nova():
    message = "Connection to glance host http://glance-1:9292 failed: no answer"
    assert message == str(make(errors.GlanceConnectionFailed))


def test_giving_up_keeps_server_and_reason():
    error = make(errors.GlanceConnectionFailed)
    assert (error.server, error.reason) == ("http://glance-1:9292", "read_timeout")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.Invalid),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (405, errors.Invalid),
        (409, errors.Conflict),
        (413, errors.OverLimit),
        (418, errors.Invalid),
        (429, errors.TooManyRequests),
        (499, errors.Invalid),
        (500, errors.ServerError),
        (501, errors.NotImplementedByServer),
        (502, errors.BadGateway),
        (503, errors.ServiceUnavailable),
        (504, errors.GatewayTimeout),
        (505, errors.ServerError),
        (599, errors.ServerError),
        (999, errors.ServerError),
    ],
)
def test_a_status_becomes_its_error(status, kind):
    error = errors.status_error(status, "no", retry_after=None, request_id=None)
    assert (kind, status, str(status)) == (type(error), error.status, error.reason)


def test_a_status_error_keeps_what_came_with_it():
    error = errors.status_error(503, "no", retry_after=7.0, request_id="req-9")
    assert (error.retry_after, error.request_id, error.reached) == (7.0, "req-9", True)


def test_a_status_error_of_its_own_has_its_class_status():
    assert errors.ImageNotFound("gone").status == 404


def test_an_attempt_without_a_reason_has_that_of_its_class():
    assert errors.TLSError("broken").reason == "tls_error"


def test_an_attempt_reached_its_server_unless_told_otherwise():
    assert errors.CommunicationError("broken").reached
