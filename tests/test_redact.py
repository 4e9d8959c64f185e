"""What is secret is hidden wherever it stands and however it is written, and nothing else is."""

import inspect
import logging
import re
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from opentelemetry.semconv.attributes import url_attributes
from opentelemetry.util.http import PARAMS_TO_REDACT

from traced_image.redact import (
    SECRET_FIELDS,
    SECRET_KEYS,
    hide_in_record,
    hide_in_text,
    hide_in_url,
)

HUNTER = "hunter2"
"""A part of every secret here, and of nothing else."""

FERNET = f"gAAAAAB{HUNTER}-fernet_token=="
JWS = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIi{HUNTER}.c2ln-{HUNTER}"

both = pytest.mark.parametrize("hide", [hide_in_url, hide_in_text])

UNRESERVED = "abcXYZ019-._~"
SUB_DELIMITERS = "!$'()*+,;="  # without "&", which ends a value


@st.composite
def secrets(draw, alphabet, *, first=""):
    """Texts that have `HUNTER` in their middle and near their ends."""
    parts = st.text(alphabet, max_size=10)
    return HUNTER.join([draw(st.sampled_from(first or [""])), draw(parts), draw(parts), ""])


def spellings(character):
    """A character in either case, or percent-encoded once, twice or three times."""
    lower, upper = character.lower(), character.upper()
    encoded = (f"%{ord(lower):02x}", f"%{ord(upper):02X}", f"%25{ord(upper):02x}")
    return st.sampled_from([lower, upper, *encoded, f"%2525{ord(lower):02X}"])


keys = st.one_of([st.tuples(*map(spellings, key)).map("".join) for key in SECRET_KEYS])
values = secrets(UNRESERVED + SUB_DELIMITERS + ":@/?%")

# --- the list ----------------------------------------------------------------------------------


def test_the_keys_of_the_conventions_are_among_the_secret_ones():
    listed = re.findall(r"^\* \[`(\S+)`\]", inspect.getsource(url_attributes), re.MULTILINE)
    assert {"sig", "X-Goog-Signature"} <= set(listed)
    assert set() == {*listed, *PARAMS_TO_REDACT} - set(SECRET_KEYS)


def test_the_reference_names_every_key():
    page = Path(__file__).parents[1] / "docs/reference/telemetry.md"
    section = page.read_text("utf-8").partition("## What telemetry never contains")[2]
    assert list(SECRET_KEYS) == [key for key in SECRET_KEYS if f"`{key}`" in section]


# --- signed URLs -------------------------------------------------------------------------------


@both
@settings(deadline=None)
@given(keys, values, st.sampled_from(["?", "?kept=1&", "?kept=1;"]), st.sampled_from(["", "&x=1"]))
def test_a_secret_keys_value_is_hidden_in_every_spelling_of_the_key(
    hide, key, value, before, after
):
    url = f"https://store.example/image{before}{key}={{}}{after}"
    assert url.format("REDACTED") == hide(url.format(value))


@both
@settings(deadline=None)
@given(key=keys, value=secrets(UNRESERVED), times=st.integers(1, 3))
def test_a_signed_url_in_the_query_of_another_is_hidden(hide, key, value, times):
    inner = f"https://store.example/image?a=b&{key}={value}"
    for _ in range(times):
        inner = quote(inner, safe="")
    hidden = hide(f"http://glance:9292/v2/images?location={inner}&kept=1")
    assert HUNTER not in hidden
    assert hidden.startswith("http://glance:9292/v2/images?location=https%")
    assert hidden.endswith("REDACTED&kept=1")


PLAIN = st.sampled_from(["name", "design", "limit", "Signatures", "x-amz-date", "sigh", "mysig"])
PARTS = st.lists(
    st.tuples(st.one_of(st.sampled_from(SECRET_KEYS), PLAIN), st.text(min_size=1, max_size=20)),
    max_size=8,
)


def url_of(parts):
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in parts)
    return f"http://glance-1:9292/v2/images?{query}"


@both
@settings(deadline=None)
@given(parts=PARTS)
def test_the_values_of_all_secret_keys_are_hidden_and_no_others(hide, parts):
    shown = [(key, "REDACTED" if key in SECRET_KEYS else value) for key, value in parts]
    assert url_of(shown) == hide(url_of(parts))


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("no Signature=hunter2 here", "no Signature=REDACTED here"),
        ("X-Upload-Signature=hunter2", "X-Upload-Signature=REDACTED"),
        ("sig=hunter2 at the start", "sig=REDACTED at the start"),
        (r'"https://s/x?a=1\u0026sig=hunter2"', r'"https://s/x?a=1\u0026sig=REDACTED"'),
        ('{"url":"//s?sig=hunter2","n":1}', '{"url":"//s?sig=REDACTED","n":1}'),
        ('sig=hunter2"hunter2 x', "sig=REDACTED x"),
        ("design=1, Signatures=2, insig=3", "design=1, Signatures=2, insig=3"),
    ],
)
def test_a_secret_keys_value_is_hidden_amid_a_text(text, hidden):
    assert hidden == hide_in_text(text)


# --- user:password@ ----------------------------------------------------------------------------

SCHEMES = st.sampled_from(["http", "https", "swift+https", "s3", "postgresql"])


@both
@settings(deadline=None)
@given(SCHEMES, secrets(UNRESERVED + SUB_DELIMITERS + "&:@%"))
@example("https", f"user:{HUNTER}")
@example("https", HUNTER)
def test_userinfo_is_hidden(hide, scheme, userinfo):
    place = "store.example:443/images?limit=1"
    assert f"{scheme}://REDACTED:REDACTED@{place}" == hide(f"{scheme}://{userinfo}@{place}")


@both
@settings(deadline=None)
@given(SCHEMES, st.text(UNRESERVED), secrets("aZ9+/", first="aZ+/"))
@example("s3", "key", f"{HUNTER}/{HUNTER}")
@example("https", "key", f"12a/{HUNTER}")
def test_a_password_with_slashes_is_hidden(hide, scheme, user, password):
    place = "store.example:443/images?limit=1"
    assert f"{scheme}://REDACTED:REDACTED@{place}" == hide(f"{scheme}://{user}:{password}@{place}")


@both
@settings(deadline=None)
@given(secrets(UNRESERVED + ":/@"), st.integers(1, 3))
def test_userinfo_of_a_url_in_the_query_of_another_is_hidden(hide, password, times):
    inner = f"https://user:{quote(password, safe='')}@store/images"
    for _ in range(times):
        inner = quote(inner, safe="")
    hidden = hide(f"http://glance:9292/v2/images?location={inner}&kept=a%40b")
    assert HUNTER not in hidden
    assert hidden.startswith("http://glance:9292/v2/images?location=https%")
    assert hidden.endswith("images&kept=a%40b")


@both
@pytest.mark.parametrize(
    "url",
    [
        "http://[2001:db8::1]:9292/tags/a@b",
        "http://glance-1:9292/tags/a@b",
        "http://glance-1/tags/a@b",
        "http://glance-1:9292/v2/images?owner=a%40b",
        "http://glance-1:9292/v2/images?at=https%3A%2F%2Fglance-2&owner=a@b",
        "mail glance@example.org",
    ],
)
def test_an_at_sign_elsewhere_is_left_alone(hide, url):
    assert url == hide(url)


# --- tokens ------------------------------------------------------------------------------------


@both
@settings(deadline=None)
@given(token=st.from_regex(r"gAAAA[A-Za-z0-9_-]{10,60}={0,2}", fullmatch=True), key=PLAIN)
def test_a_fernet_token_is_hidden_wherever_it_stands(hide, token, key):
    for form in ("http://glance/v2/images/{}", f"http://glance/v2/images?{key}={{}}&limit=1"):
        for written in (token, quote(token, safe="")):
            assert form.format("REDACTED") == hide(form.format(written))


@both
def test_a_jws_token_is_hidden(hide):
    assert "http://glance/v2/images/REDACTED?a=1" == hide(f"http://glance/v2/images/{JWS}?a=1")


# --- headers, options and JSON -----------------------------------------------------------------


# The last is a key of signed URLs, too, whose values end where a URL would.
@pytest.mark.parametrize(
    "form",
    [
        "{}: {} and so on",
        "{}={}&kept=1",
        "curl -H '{}: {}' http://10.0.0.1",
        '{{"{}": "{}", "kept": 1}}',
        "{{'{}': '{}', 'kept': 1}}",
        "{{'{}': b'{}', 'kept': 1}}",
        "[('{}', '{}'), ('kept', 1)]",
        'a="{{\\"{}\\": \\"{}\\", \\"kept\\": 1}}"',
        "connect({}='{}', kept=1)",
        '{{"{}":"{}","kept":1}}',
    ],
)
def test_a_secret_fields_value_is_hidden(form):
    names = [*SECRET_FIELDS[:-1], "X-Auth-Token", "Authorization", "OS_PASSWORD"]
    assert [form.format(name, "REDACTED") for name in names] == [
        hide_in_text(form.format(name, HUNTER)) for name in names
    ]


@settings(deadline=None)
@given(secrets(st.characters(codec="utf-8", exclude_characters='"\\')))
@example(f'{HUNTER}\\"{HUNTER}\\\\')
def test_a_secret_in_quotes_is_hidden_as_a_whole(secret):
    assert '{"password": "REDACTED", "kept": 1}' == hide_in_text(
        f'{{"password": "{secret}", "kept": 1}}'
    )


def test_a_quote_that_is_cut_is_hidden_to_its_end():
    assert '{"password": "REDACTED' == hide_in_text(f'{{"password": "{HUNTER} {HUNTER}')


HEADER_VALUE = "or return character(s) in header value: 'REDACTED'"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"Authorization: Basic {HUNTER}, kept", "Authorization: Basic REDACTED kept"),
        (f"authorization=bearer {HUNTER} kept", "authorization=bearer REDACTED kept"),
        (f"the Bearer {HUNTER:x<20} of", "the Bearer REDACTED of"),
        (f'"token": "{HUNTER}", 1', '"token": "REDACTED", 1'),
        (f"X-Amz-Security-Token: {HUNTER} kept", "X-Amz-Security-Token: REDACTED kept"),
        (f"?token={HUNTER}&x=1", "?token=REDACTED&x=1"),
        (rf"password={HUNTER}\x1b{HUNTER} x", "password=REDACTED x"),
        (rf"or return character(s) in header value: '{HUNTER}\n'", HEADER_VALUE),
        (rf"Invalid header value b'{HUNTER}\n' kept", "Invalid header value b'REDACTED' kept"),
    ],
)
def test_more_forms_of_secrets_are_hidden(text, hidden):
    assert hidden == hide_in_text(text)


# --- what the caller knows ---------------------------------------------------------------------


@settings(deadline=None)
@given(st.data())
def test_a_known_secret_is_hidden_in_every_percent_encoding(data):
    secret = data.draw(secrets("aZ9+/=."))
    written = secret
    for _ in range(data.draw(st.integers(0, 3))):
        written = "".join(data.draw(st.sampled_from([c, f"%{ord(c):02X}"])) for c in written)
    assert "the id REDACTED is unknown" == hide_in_text(f"the id {written} is unknown", secret)


def test_each_of_several_known_secrets_is_hidden():
    assert "from REDACTED to REDACTED" == hide_in_text("from one to two", "one", None, "two", "")


def test_a_text_without_the_known_secret_stays_percent_encoded():
    assert "no image a%2Fb" == hide_in_text("no image a%2Fb", HUNTER)


# --- what is left alone ------------------------------------------------------------------------


@both
@settings(deadline=None)
@given(text=st.text(st.characters(exclude_characters="=:@%,\"'"), max_size=200))
def test_a_text_without_secrets_is_left_alone(hide, text):
    assume(not re.search(r"gAAAA|eyJ|(?i:basic|bearer)", text))
    assert text == hide(text)


@both
@pytest.mark.parametrize(
    "text",
    [
        "",
        "req-5d3c0b9e-7d4e-4b6c-9f57-4b1f4bd5f9a4",
        "No image found with ID 5d3c0b9e-7d4e-4b6c-9f57-4b1f4bd5f9a4",
        "http://glance-1:9292/v2/images?limit=20&sort_key=created_at%3Aasc&sort_dir=desc",
        "Invalid token: expired",
        "Unexpected token: }",
        '"token": {"methods": ["password"]}',
        "leave out user:password@ and set username and password",
        'password="" and X-Auth-Token: ',
        "gAAAA and eyJ",
        "a token that a header value can't contain",
    ],
)
def test_what_only_resembles_a_secret_is_left_alone(hide, text):
    assert text == hide(text)


PIECES = [
    *("gAAAA", "eyJaaaaaaaa", ".", "-", "abc", "é", "a" * 20, "12", "REDACTED", "http", "bearer "),
    *("//", "/", "@", ":", "[", "?", "&", ";", "#", "=", "'", '"', "b'", "\\", ",", "{", " ", "\n"),
    *("%", "25", "%25", "3d", "%3D", "40", "%40", "2f", "%2f%2f", "%252f", "%3F", "%73ig", "sig"),
    *("Signature", "X-Amz-Credential", "X-Amz-Security-Token", "temp_url_sig", "password"),
    *("token", "x-auth-token", "authorization", "basic"),
]


@both
@settings(deadline=None, max_examples=300)
@given(text=st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_to_hide_twice_changes_nothing_more(hide, text):
    once = hide(text)
    assert once == hide(once)


@pytest.mark.parametrize(
    "piece",
    [
        *("//", "//a:b", "//a:b@", "%2f%2fa", "%", "%25", "%2525", "%73", "sig", "sig=", "sig%"),
        *("gAAAA", "eyJ", "eyJaaaaaaaaa.", "password", 'password="', "password'  ", "secret  "),
        *(
            'token\\"',
            "\\",
            "basic ",
            "authorization:basic ",
            "x-auth-token:",
            f"bearer {'a' * 25}",
        ),
    ],
)
def test_a_hostile_text_costs_no_more_than_its_length(piece):
    page = (piece * 65536)[:65536]
    started = time.process_time()
    hide_in_text(f"password=sig=@ {page} @%40", "to%ken")
    assert time.process_time() - started < 1.0


# --- the log -----------------------------------------------------------------------------------


def record_of(exc_info):
    return logging.LogRecord("name", logging.ERROR, __file__, 1, "It failed", None, exc_info)


def fail():
    """Raise an exception amid another, both with a secret in their words."""
    try:
        raise ConnectionError(f"no way to https://store/image?sig={HUNTER}")
    finally:
        raise ValueError(f"X-Auth-Token: {HUNTER} is of no use")


@pytest.fixture
def failed():
    """A record of that."""
    try:
        fail()
    except ValueError:
        return record_of(sys.exc_info())


def test_a_traceback_is_shown_without_its_secrets(failed):
    hide_in_record(failed)
    shown = logging.Formatter().format(failed).splitlines()
    assert ("It failed", "ValueError: X-Auth-Token: REDACTED is of no use") == (shown[0], shown[-1])
    assert "ConnectionError: no way to https://store/image?sig=REDACTED" in shown


def test_nobody_is_handed_an_exception_with_secrets(failed):
    hide_in_record(failed)
    assert failed.exc_info is None


@pytest.mark.parametrize("exc_info", [None, (None, None, None)])
def test_a_record_without_an_exception_stays_as_it_is(exc_info):
    record = record_of(exc_info)
    before = dict(vars(record))
    hide_in_record(record)
    assert before == vars(record)


def test_no_record_is_dropped(failed):
    assert [True, True] == [hide_in_record(failed), hide_in_record(record_of(None))]
