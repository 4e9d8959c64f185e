"""Whom to be and which tokens to have, at a real Keystone."""

import json
import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import requests
from keystoneauth1.adapter import Adapter
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from .http import HTTPPart

REGION = "RegionOne"

USERS = {
    "admin": ("admin", "admin"),
    "owner": ("project", "member"),
    "reader": ("project", "reader"),
    "stranger": ("elsewhere", "member"),
    "glance": ("service", "service"),
}
"""Each user's project, and the role it has there; its password is its name."""

DOMAIN = "default"
"""The domain of all users and projects."""


@dataclass(frozen=True)
class Cloud:
    """A running Keystone with its Glance.

    Attributes:
        keystone: Keystone's process.
        glance: Glance's process, which is also the catalogue's image endpoint.
        clouds_file: A clouds.yaml with one cloud for each of `USERS`, named after it.
    """

    keystone: HTTPPart
    glance: HTTPPart
    clouds_file: Path
    _sessions: list[Session] = field(default_factory=list, repr=False)

    @property
    def auth_url(self) -> str:
        return f"{self.keystone.url}/v3"

    def auth(self, user: str) -> v3.Password:
        """A plugin that gets the user's tokens, the first one when it is asked for one."""
        project, _ = USERS[user]
        return v3.Password(
            auth_url=self.auth_url,
            username=user,
            password=user,
            project_name=project,
            user_domain_id=DOMAIN,
            project_domain_id=DOMAIN,
        )

    def session(self, auth: v3.Password | v3.ApplicationCredential) -> Session:
        """A session that is closed with the cloud."""
        self._sessions.append(Session(auth=auth))
        return self._sessions[-1]

    def identity(self, one: Session) -> Adapter:
        """Keystone's API, asked by the session's user."""
        return Adapter(one, endpoint_override=self.auth_url)

    def token(self, user: str) -> str:
        """A new token of the user's, valid for an hour."""
        return _token(self.session(self.auth(user)))

    def token_for(self, user: str, seconds: float) -> str:
        """A new token of the user's that expires after so many seconds.

        It is an application credential's, since a token does not outlive the credential.
        """
        credential, secret = self.application_credential(user, seconds)
        short = v3.ApplicationCredential(
            auth_url=self.auth_url,
            application_credential_id=credential,
            application_credential_secret=secret,
        )
        return _token(self.session(short))

    def application_credential(self, user: str, seconds: float) -> tuple[str, str]:
        """The id and the secret of a new application credential of the user's."""
        mine = self.session(self.auth(user))
        name = f"{user}-{os.urandom(4).hex()}"
        expires = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        wish = {"name": name, "secret": name, "expires_at": f"{expires:%Y-%m-%dT%H:%M:%S.%f}Z"}
        made = self.identity(mine).post(
            f"/users/{mine.get_user_id()}/application_credentials",
            json={"application_credential": wish},
        )
        return made.json()["application_credential"]["id"], name

    def takes(self, token: str) -> bool:
        """Whether Glance lists images to the holder of a token."""
        headers = {"X-Auth-Token": token}
        return requests.get(f"{self.glance.url}/v2/images", headers=headers, timeout=60).ok

    def revoke(self, token: str) -> None:
        """Make a token invalid from now on, which its holder is not told."""
        admin = self.identity(self.session(self.auth("admin")))
        admin.delete("/auth/tokens", headers={"X-Subject-Token": token})

    def write_clouds_file(self) -> None:
        """Write `clouds_file`."""
        clouds = {user: self._entry(user) for user in USERS}
        # JSON is YAML.
        self.clouds_file.write_text(json.dumps({"clouds": clouds}))

    def _entry(self, user: str) -> dict[str, object]:
        auth = {
            "auth_url": self.auth_url,
            "username": user,
            "password": user,
            "project_name": USERS[user][0],
            "user_domain_id": DOMAIN,
            "project_domain_id": DOMAIN,
        }
        return {"auth": auth, "region_name": REGION}

    def close(self) -> None:
        """Close its sessions."""
        for one in self._sessions:
            one.session.close()


def _token(one: Session) -> str:
    token = one.get_token()
    if token is None:
        raise LookupError("Keystone gave no token")
    return token
