"""Who sends a request: the project, the user and the roles of a token."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ..errors import InvalidArgument

# Keystone's `bootstrap` creates these roles; each implies those after it.
_IMPLIED = ("admin", "manager", "member", "reader")


@dataclass(frozen=True)
class Identity:
    """The project, the user and the roles of a token.

    Attributes:
        project_id: The project's id, which owns the images that it creates.
        user_id: The user's id; None for none.
        roles: The roles in the project. ``admin`` implies ``manager``, ``member`` and ``reader``,
            ``member`` implies ``reader``, as in a new Keystone.

    Raises:
        InvalidArgument: ``roles`` is one string.
    """

    project_id: str | None
    user_id: str | None = None
    roles: tuple[str, ...] = ("member",)
    _roles: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        roles: object = self.roles
        if isinstance(roles, str):
            raise InvalidArgument(f"roles={roles!r} is one string. Write roles=({roles!r},).")
        implied = set(self.roles)
        for number, role in enumerate(_IMPLIED):
            if role in self.roles:
                implied |= set(_IMPLIED[number:])
        object.__setattr__(self, "_roles", frozenset(implied))

    def has(self, role: str) -> bool:
        """Return whether the token has a role, directly or implied."""
        return role in self._roles

    @property
    def is_admin(self) -> bool:
        """Whether this is an administrator: Glance's ``context_is_admin``."""
        return "admin" in self._roles


ANYONE = Identity(None, None, ("admin",))
"""The identity of all requests to a server without identities: it may do everything."""

Tokens: TypeAlias = Mapping[str, Identity] | Collection[str]
"""The accepted tokens: with an identity for each, or without, if all may do everything."""


def check_tokens(tokens: Tokens | None) -> None:
    """Check the accepted tokens.

    Raises:
        InvalidArgument: They are one string, or a token's identity is not an `Identity`.
    """
    if isinstance(tokens, str | bytes):
        raise InvalidArgument(
            "tokens= is one string, so that each letter would be a token. Write tokens={...}."
        )
    for token, identity in tokens.items() if isinstance(tokens, Mapping) else ():
        if not isinstance(identity, Identity):
            raise InvalidArgument(
                f"tokens= maps a token to {type(identity).__name__}. Write"
                " lab.Identity(project_id=..., roles=(...)) for it."
            )
        if not isinstance(token, str):
            raise InvalidArgument(f"tokens= has a key of type {type(token).__name__}, not str.")


def identify(tokens: Tokens, token: str | None) -> Identity | None:
    """Return the identity of a token; None if the token is not accepted."""
    if token is None or token not in tokens:
        return None
    # A test may remove the token between the two lines.
    return tokens.get(token) if isinstance(tokens, Mapping) else ANYONE
