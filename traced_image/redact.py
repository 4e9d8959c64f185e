"""Secrets in URLs and in texts: one list of what they are, and one way to hide them."""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    import logging

MARK = "REDACTED"
"""Stands in the place of a secret, as OpenTelemetry's conventions for ``url.full`` have it."""

SECRET_KEYS = (
    *("AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"),
    *("X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token"),
    *("X-Goog-Credential", "temp_url_sig", "temp_url_expires"),
)
"""Keys of signed URLs whose values are hidden: those of the conventions, one more of Google's, and
those of Swift's temporary URLs.

The conventions compare keys exactly. Here neither case nor percent-encoding counts, since the
server that a URL is for may read it in the same way.
"""

SECRET_FIELDS = (
    *("password", "passwd", "secret", "authorization"),
    *("x-auth-token", "x-subject-token", "x-service-token", "x-storage-token"),
    "x-amz-security-token",
)
"""Headers, options and members of JSON whose values are hidden in a text."""


def _encoded(characters: str) -> str:
    """A pattern for any of these characters, percent-encoded once or more often."""
    codes = {f"{ord(case):02x}" for c in characters for case in (c.lower(), c.upper())}
    return f"%(?:25)*(?:{'|'.join(sorted(codes))})"


def _spelt(word: str) -> str:
    """A pattern for a word of which any character may be percent-encoded."""
    return "".join(f"(?:{re.escape(c)}|{_encoded(c)})" for c in word)


# Each pattern takes time in proportion to the length of a text, however hostile that is: where
# it reads past a place at which it could download all of it again, it stops after some characters.
_SPELT = {key: _spelt(key) for key in SECRET_KEYS}
_PAIR_IN_URL = re.compile(
    rf"((?:[?&;#]|{_encoded('?&;#')})(?:{'|'.join(_SPELT.values())}){_spelt('=')})[^&#]+",
    re.IGNORECASE,
)
# "sig" is the end of words, too; %3F and %3B, which end in a letter, may stand before it.
_PAIR_IN_TEXT = re.compile(
    rf"((?:{'|'.join(_SPELT[key] for key in SECRET_KEYS if key != 'sig')}"
    rf"|(?:(?<![a-z_])|(?<=3[bf])){_SPELT['sig']}){_spelt('=')})"
    r'(?:[^&\s"]|"(?![\s,;:)}\]]|\Z))+',  # to the end of a URL, or of a text in JSON
    re.IGNORECASE,
)
_USERINFO = re.compile(
    r"(//)(?:[^/?#\s]+|[^/?#\s@:[]*:(?!\d{1,5}\b)[^\s@]{0,256})(@)"
    # The second is for a password that has a slash: what follows the colon is no port.
    r"|((?P<level>%(?:25)*)2f(?P=level)2f)"
    r"(?:[^/?#&\s%]|(?!(?P=level)(?:2f|3f|23|26))%)*((?P=level)40|@)",
    re.IGNORECASE,
)
# Keystone's: Fernet and JWS.
_TOKEN = re.compile(
    r"gAAAA(?:[\w=-]|%(?:25)*3[Dd])+|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+",
)
_FIELD = re.compile(
    rf"""(
        (?: (?:{"|".join(SECRET_FIELDS)}) (?:\\*["']\s*[:,=] | \s*[:=])
          | token (?:\\*["']\s*[:,=] | =) )  # no colon alone, as in "Unexpected token: x"
        \s* (?:(?:basic|bearer|digest|negotiate)\s+)?
      | \b(?:basic|bearer)\s+ (?=[\w.~+/-]{{20}}) )
    (?: (b?(\\*["'])) (?:(?!\3) (?:\\.|[^\\]))+ | (?![{{[]) (?:[^\s&"'\\]|\\(?!["']))+ )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)

_LOWERED = [key.lower() for key in SECRET_KEYS]
_STEMS = tuple(key for key in _LOWERED if not any(each in key for each in {*_LOWERED} - {key}))
"""What a text has in lower case if it has any of the keys: it is faster to find than a pattern."""
_FIELD_STEMS = ("passw", "secret", "authorization", "token", "basic", "bearer")

_MOST_ENCODED = 3
"""How often a secret may be percent-encoded to be found."""


def hide_in_url(url: str) -> str:
    """Hide secrets of a URL: values of `SECRET_KEYS`, ``user:password@``, and tokens.

    It costs next to nothing where there is nothing to hide.
    """
    while (hidden := _hide(url, _PAIR_IN_URL)) != url:
        url = hidden
    return url


def hide_in_text(text: str, *secrets: str | None) -> str:
    """Hide secrets of a text that somebody else wrote.

    These are the same as in a URL, values of `SECRET_FIELDS` and of headers, and what the caller
    knows to be secret.

    Args:
        text: What a server, a library or a user said.
        *secrets: Such as the token that was sent to that server; None for none.
    """
    for secret in secrets:
        if secret:
            text = _hide_known(text, secret)
    while (hidden := _hide_fields(_hide(text, _PAIR_IN_TEXT))) != text:
        text = hidden
    return text


def hide_in_record(record: logging.LogRecord) -> bool:
    """Hide secrets of the traceback that a record of the log has; a filter, for a logger.

    The message of an exception may have a secret, and so may those of its causes. So handlers get
    the traceback as text, which the standard library's formatter shows, and no exception.
    """
    if record.exc_info and record.exc_info[1] is not None:
        lines = traceback.format_exception(record.exc_info[1])
        record.exc_text = hide_in_text("".join(lines).rstrip("\n"))
        record.exc_info = None
    return True


def _hide(text: str, pair: re.Pattern[str]) -> str:
    """Hide what is found at once; something else may look like a secret only after that."""
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
    """Whether it could have one of `SECRET_KEYS`, in whatever spelling."""
    text = text.lower()
    for _ in range(_MOST_ENCODED):
        if any(stem in text for stem in _STEMS):
            return True
        if "%" not in text:
            return False
        text = unquote(text).lower()
    return True


def _hide_known(text: str, secret: str) -> str:
    """Hide a text in another, percent-encoded or not."""
    text = inner = text.replace(secret, MARK)
    for _ in range(_MOST_ENCODED):
        if "%" not in inner:
            break
        inner = unquote(inner)
        if secret in inner:
            text = inner = inner.replace(secret, MARK)
    return text
