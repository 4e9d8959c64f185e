"""A real Keystone with a Glance behind it."""

import base64
import configparser
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from . import cache, glance
from .cloud import DOMAIN, REGION, USERS, Cloud
from .http import HTTPPart, listen


@contextmanager
def keystone(environment: Path, glance_environment: Path, folder: Path) -> Iterator[Cloud]:
    """Run a Keystone, and a Glance that asks it who its callers are.

    Args:
        environment: Keystone's virtual environment.
        glance_environment: Glance's virtual environment.
        folder: An empty folder for databases, images, keys, configuration and logs.
    """
    with ExitStack() as stack:
        server = identity(environment, folder / "keystone")
        stack.callback(server.close)
        server.launch()
        behind = glance_behind(glance_environment, folder / "glance", server.url)
        stack.callback(behind.close)
        behind.launch()
        cloud = stack.enter_context(populated(server, behind, folder))
        behind.wait()
        yield cloud


@contextmanager
def populated(server: HTTPPart, behind: HTTPPart, folder: Path) -> Iterator[Cloud]:
    """Make the users, their projects and the catalogue of a Keystone that was launched.

    Args:
        server: The Keystone.
        behind: The Glance of the catalogue.
        folder: Gets `Cloud.clouds_file`.
    """
    cloud = Cloud(server, behind, folder / "clouds.yaml")
    try:
        server.wait()
        _populate(cloud)
        cloud.write_clouds_file()
        yield cloud
    finally:
        cloud.close()


LOGGED = "logged_keystone:application"
"""The application that writes an access log of its own; see `inside/logged.py`."""


def identity(
    environment: Path, folder: Path, application: str = "keystone.wsgi.api:application"
) -> HTTPPart:
    """A Keystone with an administrator and nobody else; it is yet to be launched.

    Args:
        environment: Keystone's virtual environment.
        folder: A folder that does not exist yet, for its database, keys, configuration and log.
        application: What is served, as `module:attribute`.
    """
    folder.mkdir(parents=True)
    (folder / "keystone.sqlite").write_bytes(_bootstrapped(environment).read_bytes())
    for name in ("fernet", "credential"):
        _make_keys(folder / name)
    settings = configparser.RawConfigParser(default_section="")
    settings.read_dict(
        {
            "database": {"connection": f"sqlite:///{folder / 'keystone.sqlite'}"},
            "fernet_tokens": {"key_repository": str(folder / "fernet")},
            "fernet_receipts": {"key_repository": str(folder / "fernet")},
            "credential": {"key_repository": str(folder / "credential")},
            "identity": {"password_hash_rounds": "4"},
        }
    )
    with (folder / "keystone.conf").open("w") as file:
        settings.write(file)
    return HTTPPart(
        "keystone",
        environment,
        application,
        listen(),
        folder / "log",
        env={"OS_KEYSTONE_CONFIG_DIR": str(folder)},
    )


def _bootstrapped(environment: Path) -> Path:
    """The database with an administrator in it: made once, since it takes several commands."""
    place = environment / "bootstrapped.sqlite"
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=environment) as scratch:
            draft = Path(scratch) / "keystone.sqlite"
            _make_keys(Path(scratch) / "fernet")
            env = {
                **os.environ,
                "OS_DATABASE__CONNECTION": f"sqlite:///{draft}",
                "OS_FERNET_TOKENS__KEY_REPOSITORY": f"{scratch}/fernet",
                "OS_FERNET_RECEIPTS__KEY_REPOSITORY": f"{scratch}/fernet",
            }
            manage = [*cache.python(environment), "-c", _MANAGE]
            cache.run([*manage, "db_sync"], env=env)
            cache.run([*manage, "bootstrap", "--bootstrap-password", "admin"], env=env)
            draft.replace(place)
    return place


_MANAGE = "import sys; from keystone.cmd.manage import main; sys.exit(main())"


def _make_keys(folder: Path) -> None:
    """A staged and a primary Fernet key, as `keystone-manage fernet_setup` makes them."""
    folder.mkdir(mode=0o700)
    for number in ("0", "1"):
        (folder / number).write_bytes(base64.urlsafe_b64encode(os.urandom(32)))


def glance_behind(
    environment: Path, folder: Path, keystone_url: str, *, remembered: int = -1
) -> HTTPPart:
    """A Glance that asks a Keystone about its callers; it is yet to be launched.

    Args:
        environment: Glance's virtual environment.
        folder: An empty folder for its database, images, configuration and log.
        keystone_url: The Keystone's address.
        remembered: For how many seconds it knows a token without asking again. By default it asks
            about every token every time, so that a revoked one is refused at once.
    """
    glance.prepare(environment, folder)
    kind = kind_behind(keystone_url, remembered=remembered)
    return glance.server("glance-behind-keystone", environment, folder, listen(), kind)


def kind_behind(keystone_url: str, *, remembered: int = -1) -> glance.Kind:
    """What a Glance has that asks a Keystone about its callers; see `glance_behind`."""
    project, _ = USERS["glance"]
    authtoken = {
        "www_authenticate_uri": keystone_url,
        "auth_url": keystone_url,
        "auth_type": "password",
        "username": "glance",
        "password": "glance",
        "project_name": project,
        "user_domain_id": DOMAIN,
        "project_domain_id": DOMAIN,
        "token_cache_time": str(remembered),
    }
    return glance.Kind({"paste_deploy": {"flavor": "keystone"}, "keystone_authtoken": authtoken})


def _populate(cloud: Cloud) -> None:
    """Make the users, their projects and the catalogue."""
    admin = cloud.session(cloud.auth("admin"))
    keystone = cloud.identity(admin)

    def make(kind: str, **wish: object) -> str:
        answer = keystone.post(f"/{kind}s", json={kind: wish})
        identifier: str = answer.json()[kind]["id"]
        return identifier

    roles = {role["name"]: role["id"] for role in keystone.get("/roles").json()["roles"]}
    projects = {"admin": admin.get_project_id()}
    for user, (project, role) in USERS.items():
        if user == "admin":
            continue
        if project not in projects:
            projects[project] = make("project", name=project, domain_id=DOMAIN)
        user_id = make("user", name=user, password=user, domain_id=DOMAIN)
        keystone.put(f"/projects/{projects[project]}/users/{user_id}/roles/{roles[role]}")
    make("region", id=REGION)
    services = {"identity": cloud.auth_url, "image": cloud.glance.url}
    for kind, url in services.items():
        service_id = make("service", type=kind, name=kind)
        for interface in ("public", "internal", "admin"):
            make("endpoint", service_id=service_id, interface=interface, url=url, region_id=REGION)
