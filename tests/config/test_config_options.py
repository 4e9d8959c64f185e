"""The definition of options: one field has all that is known of one."""

import dataclasses
import inspect

import pytest

from traced_image.config import Config, RetryPolicy
from traced_image.config.option_definition import Option, document_fields, list_options, option
from traced_image.config.options import OPTIONS
from traced_image.config.retry_policy import OPTIONS as RETRY_OPTIONS
from traced_image.errors import InvalidOption


def shout(item, value, source):
    if isinstance(value, str):
        return value.upper()
    raise InvalidOption(item, "it is not text", source=source, fix="give text")


@document_fields
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """What there is.

    Raises:
        InvalidOption: There is nothing.
    """

    soup: str = option("leek", doc="What is warm.", check=shout, read=str, nova="[menu] soup")
    wine: str = option("red", doc="What is " + "very " * 18 + "red.", shown=False)
    notes: str = dataclasses.field(default="", metadata={"doc": "What no option is."})


def test_an_option_is_a_field_with_its_default():
    assert ("leek", "red") == (Menu().soup, Menu().wine)


def test_a_secret_option_is_not_shown():
    assert "Menu(soup='leek', notes='')" == repr(Menu())


def test_options_are_listed_as_they_are_defined():
    assert {
        "soup": Option("What is warm.", shout, str, "[menu] soup"),
        "wine": Option("What is " + "very " * 18 + "red."),
    } == list_options(Menu)


def test_a_value_is_checked():
    assert "PEA" == list_options(Menu)["soup"].check_value("soup", "pea", "argument")


def test_a_refused_value_is_told_with_its_item_and_source():
    with pytest.raises(
        InvalidOption, match=r"^soup \(from menu.txt\): it is not text; give text\.$"
    ):
        list_options(Menu)["soup"].check_value("soup", 7, "menu.txt")


def test_without_a_check_any_value_is_kept():
    assert 7 == list_options(Menu)["wine"].check_value("wine", 7, "argument")


@pytest.mark.parametrize(
    ("read", "text", "value"), [(int, " 7 ", 7), (int, "seven", "seven"), (None, "7", "7")]
)
def test_text_that_stands_for_no_value_is_left_for_the_check(read, text, value):
    assert value == Option("", read=read).parse_text(text)


def test_the_fields_document_themselves_in_the_docstring_of_their_class():
    expected = """What there is.

Attributes:
    soup: What is warm.
    wine: What is very very very very very very very very very very very very very very very
        very very very red.
    notes: What no option is.

Raises:
    InvalidOption: There is nothing."""
    assert expected == inspect.getdoc(Menu)


def test_every_option_says_what_it_is_in_sentences():
    every = {**OPTIONS, **RETRY_OPTIONS}
    assert [] == [name for name, each in every.items() if not each.doc.endswith(".")]


def test_every_field_is_an_option_but_what_tells_of_them():
    fields = {each.name for kind in (Config, RetryPolicy) for each in dataclasses.fields(kind)}
    assert {"sources"} == fields - {*OPTIONS, *RETRY_OPTIONS}


def test_every_default_is_kept_by_its_own_check():
    config = Config(servers="a")
    fields = [each for each in dataclasses.fields(Config) if each.name in OPTIONS]
    changed = {each.name for each in fields if getattr(config, each.name) != each.default}
    assert {"servers"} == changed


def test_every_option_of_a_file_is_named_by_its_section():
    places = {place for each in OPTIONS.values() for place in (each.nova, each.cinder) if place}
    sections = {place.partition(" ")[0] for place in places}
    assert {"[DEFAULT]", "[api]", "[glance]", "[service_user]"} == sections


def test_what_a_file_has_can_be_read_from_text_but_for_the_plugin():
    named = {name for name, each in OPTIONS.items() if each.nova or each.cinder}
    assert {"auth", "service_auth"} == {name for name in named if OPTIONS[name].read is None}
