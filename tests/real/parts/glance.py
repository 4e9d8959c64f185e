"""Real Glance servers over one SQLite file and two stores of files."""

import configparser
import json
import os
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import cache
from .http import HTTPPart, listen, port_of

SIZE_CAP = 32 * 1024**2
"""Bytes of image data beyond which these Glances answer 413."""

PROPERTY_QUOTA = 64
"""Custom properties of an image beyond which these Glances answer 413."""

STORES = ("fast", "slow")
"""The ids of the two stores, between which `copy-image` copies; the first is the default."""

# Glance's own etc/schema-image.json; the package on PyPI comes without it.
_SCHEMA = Path(__file__).with_name("schema-image.json")


@dataclass(frozen=True)
class Kind:
    """What one Glance has that another has not.

    Attributes:
        settings: Settings by group and name.
        policy: Rules by name.
        application: What is served, as `module:attribute`.
    """

    settings: Mapping[str, Mapping[str, str]]
    policy: Mapping[str, str] = field(default_factory=dict)
    application: str = "glance.wsgi.api:application"


OPEN = Kind(
    {
        "DEFAULT": {"show_multiple_locations": "true", "show_image_direct_url": "true"},
        "oslo_policy": {"enforce_scope": "false", "enforce_new_defaults": "false"},
        "paste_deploy": {"flavor": ""},
    },
    # Without Keystone a request has no roles, so that nobody would be an administrator.
    policy={"context_is_admin": "@"},
)
"""A Glance that knows no users and shows everything to everybody."""

LOGGED = "logged_glance:application"
"""The application that writes an access log of its own; see `inside/logged.py`."""


@contextmanager
def glances(
    environment: Path, folder: Path, count: int = 3, kind: Kind = OPEN
) -> Iterator[list[HTTPPart]]:
    """Run Glance servers.

    Args:
        environment: Glance's virtual environment.
        folder: An empty folder for the database, the images, the configuration and the logs.
        count: How many servers share the database and the images.
        kind: What they have; by default they know no users.
    """
    prepare(environment, folder)
    with ExitStack() as stack:
        servers = [
            server(f"glance-{number}", environment, folder, listen(), kind)
            for number in range(1, count + 1)
        ]
        for one in servers:
            stack.callback(one.close)
            one.launch()
        for one in servers:
            one.wait()
        yield servers


def prepare(environment: Path, folder: Path) -> None:
    """Make the database and the folders that the servers of one Glance share."""
    for name in (*STORES, "staging", "tasks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    empty = _empty_database(environment)
    (folder / "glance.sqlite").write_bytes(empty.read_bytes())


def server(
    name: str, environment: Path, folder: Path, listener: socket.socket, kind: Kind
) -> HTTPPart:
    """Write one server's configuration; the server is yet to be launched."""
    home = folder / name
    home.mkdir()
    settings = configparser.RawConfigParser(default_section="")
    url = f"http://127.0.0.1:{port_of(listener)}"
    for layer in (_settings(environment, folder, home, url), kind.settings):
        settings.read_dict(layer)
    with (home / "glance-api.conf").open("w") as file:
        settings.write(file)
    shutil.copy(_SCHEMA, home)
    # JSON is YAML.
    (home / "policy.yaml").write_text(json.dumps(dict(kind.policy)))
    return HTTPPart(
        name,
        environment,
        kind.application,
        listener,
        home / "log",
        env={"OS_GLANCE_CONFIG_DIR": str(home)},
    )


def _settings(environment: Path, folder: Path, home: Path, url: str) -> dict[str, dict[str, str]]:
    places = {store: store for store in STORES}
    places |= {f"os_glance_{name}_store": name for name in ("staging", "tasks")}
    return {
        "DEFAULT": {
            "enabled_backends": ",".join([*(f"{store}:file" for store in STORES), "web:http"]),
            "enabled_import_methods": "[glance-direct,web-download,copy-image]",
            "image_property_quota": str(PROPERTY_QUOTA),
            "image_size_cap": str(SIZE_CAP),
            "node_staging_uri": f"file://{folder / 'staging'}",
            "worker_self_reference_url": url,
        },
        "glance_store": {"default_backend": STORES[0]},
        **{group: {"filesystem_store_datadir": str(folder / n)} for group, n in places.items()},
        "database": {"connection": f"sqlite:///{folder / 'glance.sqlite'}"},
        # Locations and downloads from loopback, which Glance refuses unless it is told otherwise.
        "import_filtering_opts": {
            "allowed_schemes": "[http]",
            "allowed_hosts": "[127.0.0.1]",
            "allowed_ports": "[]",
        },
        "oslo_messaging_notifications": {"driver": "noop"},
        "oslo_policy": {"policy_file": str(home / "policy.yaml")},
        "paste_deploy": {"config_file": str(environment / "etc/glance/glance-api-paste.ini")},
    }


def _empty_database(environment: Path) -> Path:
    """The migrated, empty database: made once, since its migrations take seconds."""
    place = environment / "empty.sqlite"
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=environment) as scratch:
            draft = Path(scratch) / "glance.sqlite"
            env = {**os.environ, "OS_DATABASE__CONNECTION": f"sqlite:///{draft}"}
            cache.run([*cache.python(environment), "-m", "glance.cmd.manage", "db_sync"], env=env)
            with closing(sqlite3.connect(draft)) as database:
                # Readers beside a writer, which three servers on one file need.
                database.execute("PRAGMA journal_mode = WAL")
            draft.replace(place)
    return place
