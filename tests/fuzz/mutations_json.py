"""Mutations of a JSON body: its values, its nesting, its encoding."""

from __future__ import annotations

import json

from mutation_values import BODIES, VALUES


def change_json(plan, rng, sources):
    """Change a value of a JSON body, or the text of it; put a record in place of another body."""
    plan.content = True
    try:
        value = json.loads(plan.body)
    except (ValueError, RecursionError):
        plan.body = sources.record
    else:
        plan.body = rng.choice(_JSON_CHANGES)(value, plan.body, rng, sources)
    plan.set_header(b"Content-Length", b"%d" % len(plan.body))


def _replace_value(value, _body, rng, _):
    places = list(_places(value))
    if places:
        holder, key = rng.choice(places)
        holder[key] = rng.choice(VALUES)
    return json.dumps(value).encode()


def _places(value):
    """Each object or list within a value, with each of its keys."""
    if not isinstance(value, (dict, list)):
        return
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        yield from _places(value[key])


def _rewrite(_value, body, rng, sources):
    depth = rng.choice((10, 1000, 100_000))
    whole = [body + body, body + b"\0", b"[%s]" % body, body[: len(body) // 2], sources.record]
    whole += [b"\xef\xbb\xbf" + body, body.decode("utf-8", "replace").encode("utf-16")]
    lists = b'{"images": [%s]}' % b",".join([sources.record] * 3)
    fields = [
        body.replace(b'"', b'"\xff', 1),
        body.replace(b"{", b'{"id": "1", ', 1),
        body.replace(b"}", b', "id": "1"}'),
        body.replace(b"{", b'{"next": "/v2/images?marker=1", ', 1),
        body.replace(b": ", b': NaN, "x": '),
    ]
    nested = [b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth]
    return rng.choice([*whole, *fields, *nested, lists, *BODIES, b'{"id": %s}' % (b"9" * 5000)])


_JSON_CHANGES = (_replace_value, _replace_value, _rewrite)
