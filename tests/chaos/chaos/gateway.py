"""nginx in front of each server: it answers 502 and 504, and buffers what passes."""

from __future__ import annotations

import json
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from parts.ports import free_port
from parts.process import Process

from .records import Served, parse_traceparent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

TIMEOUT = 1
"""Seconds that nginx waits for a server, before it answers 504."""

_START, _BEAT = 30.0, 0.02  # seconds

_CONFIG = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format told escape=json '{{"traceparent": "$http_traceparent", "method": "$request_method",'
    ' "path": "$uri", "status": "$status", "port": "$server_port", "at": "$msec",'
    ' "size": "$body_bytes_sent"}}';
  access_log {folder}/access.log told;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 64m;
  proxy_http_version 1.1;
  proxy_connect_timeout {timeout}s;
  proxy_read_timeout {timeout}s;
{servers}
}}
"""

_SERVER = """\
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_set_header Host $http_host; }}
  }}
"""


class Gateway:
    """A running nginx.

    Args:
        ports: Its port before each server, by the server's.
        folder: What it writes to.
    """

    def __init__(self, ports: Mapping[int, int], folder: Path) -> None:
        self.ports = ports
        self._folder = folder

    def read_served(self, ports: Mapping[int, int]) -> Iterator[Served]:
        """Read its access log.

        Args:
            ports: The ports by which clients know the servers, by the servers' own.
        """
        servers = {port: ports[behind] for behind, port in self.ports.items()}
        for told in map(json.loads, (self._folder / "access.log").read_text().splitlines()):
            trace, span = parse_traceparent(told["traceparent"])
            if trace:
                yield Served(
                    trace,
                    span,
                    servers[int(told["port"])],
                    told["method"],
                    told["path"],
                    float(told["at"]),
                    int(told["status"]),
                    int(told["size"]),
                    is_gateway=True,
                )


@contextmanager
def gateway(program: Path, folder: Path, servers: Sequence[int]) -> Iterator[Gateway]:
    """Run nginx before the servers of these ports."""
    folder.mkdir()
    ports = {port: free_port() for port in servers}
    told = "".join(_SERVER.format(port=port, behind=behind) for behind, port in ports.items())
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, servers=told, timeout=TIMEOUT))
    (folder / "access.log").touch()
    command = [str(program), "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    process = Process("nginx", command, folder / "log")
    process.start()
    try:
        for port in ports.values():
            _wait(process, port)
        yield Gateway(ports, folder)
    finally:
        process.close()


def _wait(process: Process, port: int) -> None:
    end = time.monotonic() + _START
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), _START).close()
        except ConnectionRefusedError as error:
            if not process.running or time.monotonic() > end:
                raise process.failed("does not listen") from error
            time.sleep(_BEAT)
        else:
            return
