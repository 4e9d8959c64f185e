"""The file of the tokens that the command ``lab`` accepts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ..lab import Identity

if TYPE_CHECKING:
    from pathlib import Path

    from ..lab.identity import Tokens

_FIELDS = frozenset({"project_id", "user_id", "roles"})
_FORM = (
    'write {"a-token": {"project_id": "...", "user_id": "...", "roles": ["member"]}},'
    ' or ["a-token"] for a token that may do everything'
)


def read_tokens(path: Path) -> Tokens:
    """Read the tokens of a file.

    Raises:
        OSError: The file can't be read.
        UsageError: It has no tokens as JSON. The message has none of the tokens.
    """
    try:
        tokens = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{path} is not JSON: {_FORM}") from error
    if isinstance(tokens, dict) and all(map(_is_identity, tokens.values())):
        return {token: _make_identity(**given) for token, given in tokens.items()}
    if isinstance(tokens, list) and all(isinstance(token, str) for token in tokens):
        return tokens
    raise click.UsageError(f"{path} has no tokens that can be used: {_FORM}")


def _is_identity(given: Any) -> bool:  # noqa: ANN401 - any value of JSON
    if not isinstance(given, dict) or not given.keys() <= _FIELDS:
        return False
    roles = given.get("roles", [])
    return (
        isinstance(given.get("project_id"), str)
        and isinstance(given.get("user_id"), str | None)
        and isinstance(roles, list)
        and all(isinstance(role, str) for role in roles)
    )


def _make_identity(
    project_id: str, user_id: str | None = None, roles: tuple[str, ...] = ("member",)
) -> Identity:
    return Identity(project_id, user_id, tuple(roles))
