"""Callers that need a token of a real Keystone for each call."""

import random

from keystoneauth1.identity import v3
from parts.cloud import DOMAIN, USERS, Cloud


class Impatient(v3.Password):
    """Renews each token before it is used, as any plugin does with one that is about to expire."""

    MIN_TOKEN_LIFE_SECONDS = 2 * 3600


class Forgetful(v3.Password):
    """Renews a share of the tokens before they are used.

    Attributes:
        share: How many of them; 1 for all.
    """

    share = 0.0

    def _needs_reauthenticate(self) -> bool:
        return random.random() < self.share or super()._needs_reauthenticate()


def forgetful(cloud: Cloud, share: float, user: str = "owner") -> Forgetful:
    """A plugin that asks Keystone for a token of the user's now and then."""
    project, _ = USERS[user]
    made = Forgetful(
        auth_url=cloud.auth_url,
        username=user,
        password=user,
        project_name=project,
        user_domain_id=DOMAIN,
        project_domain_id=DOMAIN,
    )
    made.share = share
    return made


def impatient(cloud: Cloud, user: str = "owner") -> Impatient:
    """A plugin that asks Keystone for a token of the user's for each call."""
    project, _ = USERS[user]
    return Impatient(
        auth_url=cloud.auth_url,
        username=user,
        password=user,
        project_name=project,
        user_domain_id=DOMAIN,
        project_domain_id=DOMAIN,
    )
