"""The pages of the API and of the lab are complete, and say of each fault what a client sees."""

import inspect
import re
from pathlib import Path

import pytest
from traced_image_docs import api
from traced_image_docs import lab as lab_page

import traced_image
from traced_image import exporter, lab, telemetry
from traced_image.lab import faults
from traced_image.lab.fault import NEEDS_TLS

REFERENCE = Path(__file__).parent.parent / "docs/reference"
HEADING = re.compile(r"^####? (.+)$", re.MULTILINE)


def headings(name):
    return set(HEADING.findall((REFERENCE / name).read_text("utf-8")))


def members(things):
    """The public methods and properties of the classes among some things, by their full names."""
    for name, thing in things.items():
        if inspect.isclass(thing) and not api.is_error(thing):
            for member in api.list_members(thing).keys() - api.INTERNAL.get(name, set()):
                yield f"{name}.{member}"


def every_thing():
    return {name: thing for group in api.GROUPS.values() for name, thing in group.items()}


def test_the_page_has_every_public_name():
    public = [name for name in traced_image.__all__ if name != "errors"]
    kept = {name for name in public if not api.is_error(getattr(traced_image, name))}
    kept |= {*telemetry.__all__} | {f"exporter.{name}" for name in exporter.__all__}

    assert set() == kept - headings("api.md")


def test_the_page_has_every_public_error():
    page = (REFERENCE / "api.md").read_text("utf-8")
    public = [name for name in traced_image.__all__ if api.is_error(getattr(traced_image, name))]

    assert [] == [name for name in public if f"| `{name}` |" not in page]


def test_the_page_has_every_public_method():
    assert set() == set(members(every_thing())) - headings("api.md")


def test_the_page_of_the_lab_has_every_public_name():
    assert set() == {*lab.__all__} - {"faults"} - headings("lab.md")


def test_the_page_of_the_lab_has_every_public_method():
    assert set() == set(members(lab_page.LAB)) - headings("lab.md")


def test_what_is_internal_is_there():
    things = {**every_thing(), **lab_page.LAB}

    assert {name: set() for name in api.INTERNAL} == {
        name: names - api.list_members(things[name]).keys() for name, names in api.INTERNAL.items()
    }


def functions(things):
    for name, thing in things.items():
        if not inspect.isclass(thing):
            yield name
        elif not api.is_error(thing):
            for member, value in api.list_members(thing).items():
                known = member in api.INTERNAL.get(name, set())
                if not known and not hasattr(value, "fget") and not hasattr(value, "attrname"):
                    yield f"{name}.{member}"


def test_every_function_has_an_example():
    expected = set(functions({**every_thing(), **lab_page.LAB}))

    assert set() == expected - api.EXAMPLES.keys()


def test_every_example_is_on_a_page():
    known = {*headings("api.md"), *headings("lab.md")}

    assert set() == api.EXAMPLES.keys() - known


def test_an_argument_that_nothing_describes_is_refused():
    def undocumented(mystery):
        """Say nothing of it."""

    with pytest.raises(LookupError, match="undocumented: say what mystery is"):
        api.describe_arguments(undocumented)


# --- faults --------------------------------------------------------------------------------------


def test_every_fault_has_a_reason():
    assert lab_page.REASONS.keys() == lab_page.list_faults().keys()


ASKED = {
    "delay": faults.delay(5.0),
    "slow_headers": faults.slow_headers(5.0),
    "slow_body": faults.slow_body(5.0),
    "status": faults.status(503),
    "early_answer": faults.early_answer(413),
    "raw_reply": faults.raw_reply(b"no HTTP"),
    "redirect": faults.redirect(302, "/v2/images/x"),
    "framing": faults.framing("Content-Length: 1, 2"),
    "huge_json": faults.huge_json(17 << 20),
    "many_headers": faults.many_headers(20_000),
    "limit_rate": faults.limit_rate(send=1),
}
"""The faults whose functions take arguments."""

OF_TLS = sorted(NEEDS_TLS)
PLAIN = sorted(lab_page.REASONS.keys() - {"flapping", *OF_TLS})


def see(server, fault, *, cafile=None):
    """The reason that a client sees of a fault."""
    image_id = server.images.add(name="cirros", data=b"...")
    server.break_with(fault)
    with traced_image.connect(
        servers=[server.url],
        num_retries=0,
        connect_timeout=0.3,
        read_timeout=0.3,
        request_timeout=5,
        deadline=6,
        cafile=cafile,
        telemetry=False,
    ) as service:
        try:
            service.show(None, image_id)
            for _ in service.download(None, image_id):
                pass
        except (traced_image.AttemptError, traced_image.GlanceConnectionFailed) as error:
            return error.reason
    return None


def read_reason(text):
    """The reason that a cell of the page names: its first word, or the status at its end."""
    if text == lab_page.NONE:
        return None
    return text.rsplit(maxsplit=1)[-1] if text.startswith("the status") else text.split(",")[0]


@pytest.mark.parametrize("name", PLAIN)
def test_a_client_sees_the_reason_of_the_page(name):
    fault = ASKED[name] if name in ASKED else getattr(faults, name)()
    with lab.GlanceServer() as server:
        seen = see(server, fault)

    assert read_reason(lab_page.REASONS[name]) == seen


@pytest.mark.parametrize("name", OF_TLS)
def test_a_client_sees_the_reason_of_a_fault_of_tls(name):
    tls = lab.TLS.trusted()
    with lab.GlanceServer(tls=tls) as server:
        seen = see(server, getattr(faults, name)(), cafile=str(tls.cafile))

    assert lab_page.REASONS[name] == seen


def test_a_client_sees_each_of_the_faults_that_take_turns():
    with lab.GlanceServer() as server:
        image_id = server.images.add(name="cirros", data=b"...")
        server.break_with(faults.flapping(faults.status(503), faults.cut_body()))
        with (
            traced_image.connect(servers=[server.url], num_retries=1, telemetry=False) as service,
            pytest.raises(traced_image.GlanceConnectionFailed) as raised,
        ):
            service.show(None, image_id)

    assert ["503", "protocol_error"] == [one.reason for one in raised.value.attempts]
