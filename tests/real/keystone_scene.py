"""Callers that need a token of a real Keystone for each call."""

from keystoneauth1.identity import v3
from parts.cloud import DOMAIN, USERS, Cloud


class Impatient(v3.Password):
    """Renews each token before it is used, as any plugin does with one that is about to expire."""

    MIN_TOKEN_LIFE_SECONDS = 2 * 3600


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
