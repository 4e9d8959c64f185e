"""The servers of the benchmarks: nginx on a core of its own, and one that refuses."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from traced_image import lab

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

START_LIMIT = 10.0
"""Seconds that nginx may take to answer."""

IMAGE_PATH = "/v2/images/"
SCHEMA_PATH = "/v2/schemas/image"
PAGES_PATH = "/pages/after-"
"""Where the pages of a list are, by the image that they come after."""

_VERSIONS_PATH = "/versions"
_VERSIONS = {
    "versions": [
        {"id": "v2.15", "status": "CURRENT", "links": [{"rel": "self", "href": "/v2/"}]},
    ]
}
"""What openstacksdk asks for once, before its first call."""

# The headers of a reply are those of a Glance: nginx's own of a file are left out.
_CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  sendfile on;
  open_file_cache max=16;
  default_type application/json;
  etag off;
  max_ranges 0;
  add_header Last-Modified "";
  add_header X-Openstack-Request-Id "req-$request_id";
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    {listen}
    root {folder}/root;
    location = /v2/images {{ try_files {pages}$arg_marker.json =404; }}
    location = / {{ try_files /versions =404; }}
    location ~ ^(/.*)/file$ {{ default_type application/octet-stream; try_files $1.data =404; }}
  }}
}}
"""


def recorded_image() -> tuple[str, dict[str, bytes]]:
    """What the embedded Glance answers about one image: its id, and the bodies by their paths."""
    with lab.GlanceServer() as server:
        image_id = server.images.add(
            name="ubuntu-24.04-server-cloudimg",
            data=b"\0" * 4096,
            owner="6f1b5a0f2d5e4b1c8a3d9e7f00112233",
            min_ram=512,
            min_disk=10,
            architecture="x86_64",
            hw_disk_bus="virtio",
            os_distro="ubuntu",
            os_version="24.04",
        )
        paths = (IMAGE_PATH + image_id, SCHEMA_PATH)
        return image_id, {path: _fetched(server.url + path) for path in paths}


def _fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=START_LIMIT) as reply:
        body: bytes = reply.read()
    return body


def nginx_version() -> str:
    """The version of the nginx that serves.

    Raises:
        SystemExit: There is none.
    """
    done = subprocess.run([_nginx(), "-v"], capture_output=True, text=True, check=True)
    return done.stderr.strip().rpartition("/")[2]


def _nginx() -> str:
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise SystemExit("nginx is not on this machine: as root, apt-get install nginx-light")
    return found


@contextmanager
def nginx(
    bodies: Mapping[str, bytes], count: int = 1, sizes: Mapping[str, int] | None = None
) -> Iterator[list[str]]:
    """Serve bodies by their paths, on as many ports; the server and this process part the cores.

    Args:
        bodies: What to serve, by its path.
        count: How many ports to serve it on.
        sizes: How many zeros each image's data has, by the path of its record; it is at `/file`
            below that, and its file is sparse.

    Yields:
        The servers' URLs, without a slash at the end.

    Raises:
        SystemExit: There is no nginx, or it did not start.
    """
    command = _nginx()
    cores = sorted(os.sched_getaffinity(0))
    ports = _free_ports(count)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        versions = json.dumps(_VERSIONS).encode()
        _write(folder, {_VERSIONS_PATH: versions, **bodies}, sizes or {}, ports)
        os.sched_setaffinity(0, cores[-1:])  # which a child inherits
        process = subprocess.Popen(
            [command, "-p", name, "-c", f"{name}/nginx.conf"], stderr=(folder / "log").open("wb")
        )
        os.sched_setaffinity(0, cores[:1])
        try:
            _wait(process, ports, folder / "log")
            yield [f"http://127.0.0.1:{port}" for port in ports]
        finally:
            process.terminate()
            process.wait()
            os.sched_setaffinity(0, cores)


def _write(
    folder: Path, bodies: Mapping[str, bytes], sizes: Mapping[str, int], ports: list[int]
) -> None:
    folder.chmod(0o755)  # nginx's worker is another user where this one is root
    root = folder / "root"
    for path, body in bodies.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    for path, size in sizes.items():
        with (root / f"{path.lstrip('/')}.data").open("wb") as data:
            data.truncate(size)
    listen = " ".join(f"listen 127.0.0.1:{port};" for port in ports)
    (folder / "nginx.conf").write_text(
        _CONFIG.format(folder=folder, listen=listen, pages=PAGES_PATH)
    )


def _wait(process: subprocess.Popen[bytes], ports: list[int], log: Path) -> None:
    limit = time.monotonic() + START_LIMIT
    while process.poll() is None and time.monotonic() < limit:
        with suppress(OSError):
            for port in ports:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.01)
    raise SystemExit(f"nginx did not start:\n{log.read_text()}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def refusing() -> Iterator[str]:
    """A URL whose port is taken by one that does not listen, so that connections are refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
