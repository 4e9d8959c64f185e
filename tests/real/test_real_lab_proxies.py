"""The lab's pages of nginx and HAProxy are those that the real ones send."""

import re
import socket
import time
from contextlib import closing

from parts import tools
from parts.ports import free_port
from parts.process import Process

from traced_image import lab
from traced_image.lab import faults

LIMIT = 10.0  # seconds for what should take milliseconds

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:1; }}
    {locations}
  }}
}}
"""
NGINX_CODES = (400, 401, 403, 404, 405, 413, 429, 500, 501, 502, 503, 504, 507)

HAPROXY = """
defaults
  mode http
  retries 0
  timeout connect 1s
  timeout server 1s
  timeout client 10s
frontend front
  bind 127.0.0.1:{port}
  {locations}
  use_backend dead
backend dead
  server dead 127.0.0.1:1
"""
HAPROXY_CODES = (400, 401, 403, 404, 408, 413, 429, 500, 502, 504)


def pages(command, text, locations, paths, folder):
    """What a proxy with the configuration `text` answers on each of `paths`, by their names."""
    config, port = folder / "proxy.conf", free_port()
    config.write_text(text.format(folder=folder, port=port, locations="\n  ".join(locations)))
    proxy = Process(command[0], [*command, str(config)], folder / "proxy.log")
    with closing(proxy):
        proxy.start()
        return {name: ask(dial(port, proxy), path) for name, path in paths.items()}


def dial(port, proxy):
    end = time.monotonic() + LIMIT
    while proxy.running and time.monotonic() < end:
        try:
            return socket.create_connection(("127.0.0.1", port), LIMIT)
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise proxy.failed("did not start")


def ask(sock, path):
    with sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n".encode())
        return read_reply(sock)


def read_reply(sock):
    """One reply, without its date, nginx's version, and the length that this has part in."""
    data = b""
    size = 0
    while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < size:
        data += sock.recv(1 << 16)
        size = int(re.search(rb"(?i)content-length: (\d+)", data)[1])
    if b"\r\nServer: nginx/" in data:
        data = re.sub(rb"Content-Length: \d+", b"Content-Length: *", data)
    return re.sub(rb"nginx/[\d.]+", b"nginx/1", re.sub(rb"Date: [^\r]+", b"Date: *", data))


def pages_of_the_lab(fault, codes):
    with lab.GlanceServer() as server:
        replies = {}
        for code in codes:
            server.break_with(fault(code))
            with socket.create_connection((server.host, server.port), LIMIT) as sock:
                replies[code] = ask(sock, "/")
        return replies


def test_the_pages_are_those_of_nginx(tool, tmp_path):
    nginx = tool(tools.system, "nginx", "nginx-light")
    locations = [f"location /{code} {{ return {code}; }}" for code in NGINX_CODES]
    paths = {**{code: f"/{code}" for code in NGINX_CODES}, 502: "/"}
    real = pages([nginx, "-p", str(tmp_path), "-c"], NGINX, locations, paths, tmp_path)
    assert real == pages_of_the_lab(faults.nginx_error, paths)


def test_the_pages_are_those_of_haproxy(tool, tmp_path):
    haproxy = tool(tools.system, "haproxy", "haproxy")
    deny = "http-request deny deny_status {0} if {{ path /{0} }}"
    locations = [deny.format(code) for code in HAPROXY_CODES]
    paths = {**{code: f"/{code}" for code in HAPROXY_CODES}, 503: "/"}
    real = pages([haproxy, "-db", "-f"], HAPROXY, locations, paths, tmp_path)
    assert real == pages_of_the_lab(faults.haproxy_error, paths)
