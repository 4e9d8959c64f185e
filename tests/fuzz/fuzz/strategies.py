"""What targets are given: right texts with a few wrong places, and any JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, AnyStr

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import DrawFn, SearchStrategy

_TEXTS = st.text(max_size=6)
_BYTES = st.binary(max_size=6)
_ODD = (
    *("", " ", "\t", "\r\n", "\n", "\0", "\x1b[31m", "\ufeff", "\u2028", "é", "\U0001f600"),
    *("%", "%00", "%0d%0a", "%%", "{}", "[", "]", "[[", ":", "::", "=", ";", ",", "#", '"', "'"),
    *("\\", "/", "//", "../", "@", "?", "&", "-", "--", "+", "*", "!", "<", ">", "$(x)", "${x}"),
    *("0", "-1", "1e400", "nan", "inf", "65536", "9" * 30, "٣", "True", "none", "null"),
)


@st.composite
def _change(
    draw: DrawFn, samples: Sequence[AnyStr], pieces: SearchStrategy[AnyStr], most: int
) -> AnyStr:
    """A sample, some pieces of which are replaced, left out, repeated or added."""
    data = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(0, most))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 24)))
        if draw(st.booleans()):
            data = data[:start] + draw(pieces) + data[end:]
        else:
            data = data[:start] + data[start:end] * draw(st.integers(0, 3)) + data[end:]
    return data


def change_text(*samples: str, words: Sequence[str] = (), most: int = 4) -> SearchStrategy[str]:
    """Samples with up to `most` places changed, and now and then any text.

    Args:
        samples: Texts that are right.
        words: What fits in such texts, to be put in other places.
        most: How many places.
    """
    pieces = st.sampled_from([*words, *_ODD]) | _TEXTS
    return _change(samples, pieces, most) | st.text(max_size=60)


def change_bytes(
    *samples: bytes, words: Sequence[bytes] = (), most: int = 4
) -> SearchStrategy[bytes]:
    """The same for bytes."""
    odd = [*words, *(each.encode() for each in _ODD), b"\xff", b"\xc3", b"\xed\xa0\x80"]
    return _change(samples, st.sampled_from(odd) | _BYTES, most) | st.binary(max_size=60)


def json_values(keys: Sequence[str]) -> SearchStrategy[Any]:
    """Any JSON, whose objects have some of these keys.

    Args:
        keys: What the reader looks for.
    """
    plain = (
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
        st.sampled_from([*_ODD, 2**63, -(10**400), 1e308]),
    )
    names = st.sampled_from(list(keys)) | st.text(max_size=4)
    return st.recursive(
        st.one_of(plain),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
        max_leaves=12,
    )


@st.composite
def change_json(draw: DrawFn, *samples: Any, keys: Sequence[str] = ()) -> bytes:
    """A sample as JSON, some values of which are any others, or whose text is changed.

    Args:
        draw: Hypothesis gives it.
        samples: Values that are right.
        keys: Keys beside those of the samples.
    """
    value = json.loads(json.dumps(draw(st.sampled_from(samples))))
    others = json_values([*_list_keys(value), *keys])
    for _ in range(draw(st.integers(0, 3))):
        value = _replace(draw, value, others)
    text = json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    return draw(change_bytes(text, most=2)) if draw(st.integers(0, 9)) == 0 else text


def _list_keys(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for each in value.values() for key in _list_keys(each))]
    return [key for each in value for key in _list_keys(each)] if isinstance(value, list) else []


def _replace(draw: DrawFn, value: Any, others: SearchStrategy[Any]) -> Any:
    """The value with another one in one place."""
    if not value or not isinstance(value, dict | list) or draw(st.integers(0, 5)) == 0:
        return draw(others)
    places = sorted(value) if isinstance(value, dict) else range(len(value))
    place = draw(st.sampled_from(list(places)))
    if isinstance(value, dict) and draw(st.integers(0, 4)) == 0:
        return {key: each for key, each in value.items() if key != place}
    value[place] = _replace(draw, value[place], others)
    return value
