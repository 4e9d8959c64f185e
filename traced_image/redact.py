"""Removal of secrets from URLs, texts and log records, by one list of what is secret."""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    import logging

MARK = "REDACTED"
"""The text that replaces a secret, as in OpenTelemetry's conventions for ``url.full``."""

SECRET_KEYS = (
    *("AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"),
    *("X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token"),
    *("X-Goog-Credential", "temp_url_sig", "temp_url_expires"),
)
"""Keys in signed URLs; the functions below hide their values.

They are the keys of the conventions, one more of Google's, and those of Swift's temporary URLs.
The conventions compare keys exactly. This module ignores case and percent-encoding, because the
server that receives a URL may ignore them too.
"""

SECRET_FIELDS = (
    *("password", "passwd", "secret", "authorization"),
    *("x-auth-token", "x-subject-token", "x-service-token", "x-storage-token"),
    "x-amz-security-token",
)
"""Headers, options and JSON members; `hide_in_text` hides their values."""


def _encoded(characters: str) -> str:
    """Build a pattern for any of these characters, percent-encoded once or several times."""
    # "%25" is an encoded "%", so "%252F" is "/" encoded twice.
    codes = {f"{ord(case):02x}" for c in characters for case in (c.lower(), c.upper())}
    return f"%(?:25)*(?:{'|'.join(sorted(codes))})"


def _spelt(word: str) -> str:
    """Build a pattern for a word in which any character may be percent-encoded."""
    return "".join(f"(?:{re.escape(c)}|{_encoded(c)})" for c in word)


# Each pattern takes time proportional to the length of a text, even of a hostile one. If a match
# could read past the start of another match, its length is bounded.
_SPELT = {key: _spelt(key) for key in SECRET_KEYS}
_PAIR_IN_URL = re.compile(
    rf"((?:[?&;#]|{_encoded('?&;#')})(?:{'|'.join(_SPELT.values())}){_spelt('=')})[^&#]+",
    re.IGNORECASE,
)
# "sig" also ends other words, so no letter may precede it. The exceptions are %3F and %3B, the
# encoded "?" and ";", which end in a letter.
_PAIR_IN_TEXT = re.compile(
    rf"((?:{'|'.join(_SPELT[key] for key in SECRET_KEYS if key != 'sig')}"
    rf"|(?:(?<![a-z_])|(?<=3[bf])){_SPELT['sig']}){_spelt('=')})"
    r'(?:[^&\s"]|"(?![\s,;:)}\]]|\Z))+',  # to the end of a URL, or of a text in JSON
    re.IGNORECASE,
)
_USERINFO = re.compile(
    r"(//)(?:[^/?#\s]+|[^/?#\s@:[]*:(?!\d{1,5}\b)[^\s@]{0,256})(@)"
    # The second form is for a password with a slash: the text after the colon is not a port.
    r"|((?P<level>%(?:25)*)2f(?P=level)2f)"
    r"(?:[^/?#&\s%]|(?!(?P=level)(?:2f|3f|23|26))%)*((?P=level)40|@)",
    re.IGNORECASE,
)
# Keystone's token formats. A Fernet token starts with the byte 0x80 and the zeros of a time stamp,
# which is "gAAAA" in base64; a JWS starts with '{"', which is "eyJ".
_TOKEN = re.compile(
    r"gAAAA(?:[\w=-]|%(?:25)*3[Dd])+|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+",
)
_FIELD = re.compile(
    rf"""(
        (?: (?:{"|".join(SECRET_FIELDS)}) (?:\\*["']\s*[:,=] | \s*[:=])
          | token (?:\\*["']\s*[:,=] | =)  # no colon alone, as in "Unexpected token: x"
          # requests and http.client show what no header can contain: a token with a line break
          | header\ value (?:\s*: | (?=\s*b?["'])) )
        \s* (?:(?:basic|bearer|digest|negotiate)\s+)?
      | \b(?:basic|bearer)\s+ (?=[\w.~+/-]{{20}}) )
    (?: (b?(\\*["'])) (?:(?!\3) (?:\\.|[^\\]))+ | (?![{{[]) (?:[^\s&"'\\]|\\(?!["']))+ )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)

_LOWERED = [key.lower() for key in SECRET_KEYS]
_STEMS = tuple(key for key in _LOWERED if not any(each in key for each in {*_LOWERED} - {key}))
"""A text with a key contains one of these in lower case: they are faster to find than a pattern."""
_FIELD_STEMS = ("passw", "secret", "authorization", "token", "basic", "bearer", "header value")

_MOST_ENCODED = 3
"""How many levels of percent-encoding the search for secrets decodes."""


def hide_in_url(url: str) -> str:
    """Hide the secrets in a URL: values of `SECRET_KEYS`, ``user:password@``, and tokens.

    The call takes almost no time if the URL has no secret.
    """
    # Once more after each change, because the replaced text may complete another match.
    while (hidden := _hide(url, _PAIR_IN_URL)) != url:
        url = hidden
    return url


def hide_in_text(text: str, *secrets: str | None) -> str:
    """Hide the secrets in a text that a server, a library or a user wrote.

    The secrets are those of a URL, the values of `SECRET_FIELDS` and of headers, and the texts
    that the caller knows to be secret.

    Args:
        text: The text.
        *secrets: Known secrets, such as the token that was sent to the server; None is ignored.
    """
    for secret in secrets:
        if secret:
            text = _hide_known(text, secret)
    while (hidden := _hide_fields(_hide(text, _PAIR_IN_TEXT))) != text:
        text = hidden
    return text


def find_cause_to_show(error: Exception) -> Exception | None:
    """Return an error as the cause of another one, or None if a text of its chain has a secret.

    A traceback shows the texts of a cause and of its own causes, also in another program's log.
    """
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and all(link is not each for each in seen):
        seen.append(link)
        link = link.__cause__ or link.__context__
    try:
        texts = [str(each) for each in seen]
    except Exception:  # noqa: BLE001 of any class, which may have no text
        return None
    return error if all(hide_in_text(text) == text for text in texts) else None


def hide_in_record(record: logging.LogRecord) -> bool:
    """Hide the secrets in a log record's traceback; this is a filter for a logger.

    The message of an exception may contain a secret, and so may those of its causes. So handlers
    get the traceback as text, which the standard library's formatter prints, and no exception.

    Returns:
        True: the logger keeps the record.
    """
    if record.exc_info and record.exc_info[1] is not None:
        lines = traceback.format_exception(record.exc_info[1])
        record.exc_text = hide_in_text("".join(lines).rstrip("\n"))
        record.exc_info = None
    return True


def _hide(text: str, pair: re.Pattern[str]) -> str:
    """Hide the secrets that one pass finds; only then may a further text match."""
    # The tests for single characters are there for speed: most texts contain no secret.
    if "gAAAA" in text or "eyJ" in text:
        text = _TOKEN.sub(MARK, text)
    encoded = "%" in text
    if (encoded or "=" in text) and _may_have_key(text):
        text = pair.sub(rf"\1{MARK}", text)
    if "@" in text or (encoded and "40" in text):
        text = _USERINFO.sub(rf"\1\3{MARK}:{MARK}\2\5", text)
    return text


def _hide_fields(text: str) -> str:
    lowered = text.lower()
    if any(stem in lowered for stem in _FIELD_STEMS):
        text = _FIELD.sub(rf"\1\2{MARK}", text)
    return text


def _may_have_key(text: str) -> bool:
    """Return whether a text may contain one of `SECRET_KEYS`, in any spelling."""
    text = text.lower()
    for _ in range(_MOST_ENCODED):
        if any(stem in text for stem in _STEMS):
            return True
        if "%" not in text:
            return False
        text = unquote(text).lower()
    # Still encoded after so many levels: the patterns, which accept any level, must decide.
    return True


def _hide_known(text: str, secret: str) -> str:
    """Hide a known secret in a text, percent-encoded or not."""
    text = inner = text.replace(secret, MARK)
    for _ in range(_MOST_ENCODED):
        if "%" not in inner:
            break
        inner = unquote(inner)
        if secret in inner:
            text = inner = inner.replace(secret, MARK)
    return text
