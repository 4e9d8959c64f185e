"""A server that takes all that is sent to it, and keeps nothing: ``python bench/sink.py``.

It takes uploads and what exporters send by OTLP. It answers with an image's record, whose size is
that of the last upload. It prints its URL, and ends as soon as its standard input does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 1 << 20
IMAGE_ID = "00000000-0000-4000-8000-000000000009"


class Sink(BaseHTTPRequestHandler):
    """Reads a request's body and drops it."""

    protocol_version = "HTTP/1.1"
    rbufsize = PIECE
    disable_nagle_algorithm = True
    size: int | None = None
    """Bytes of the last upload."""

    def do_PUT(self) -> None:
        """Take an upload."""
        Sink.size = self._drop()
        self._answer(204)

    def do_POST(self) -> None:
        """Take an image's record, or what an exporter sends."""
        self._drop()
        if self.path == "/v2/images":
            Sink.size = None
            self._answer(201, self._record())
        else:
            self._answer(200, b"")

    def do_GET(self) -> None:
        """Answer with the image's record."""
        self._answer(200, self._record())

    def _record(self) -> bytes:
        status = "queued" if Sink.size is None else "active"
        record: dict[str, object] = {
            "id": IMAGE_ID,
            "name": "bench",
            "status": status,
            "size": Sink.size,
            "visibility": "shared",
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
        }
        record |= dict.fromkeys(("protected", "os_hidden"), False)
        record |= dict.fromkeys(("min_ram", "min_disk"), 0)
        record |= dict.fromkeys(("checksum", "os_hash_algo", "os_hash_value"))
        record |= {"disk_format": "raw", "container_format": "bare", "tags": [], "owner": "p"}
        return json.dumps(record).encode()

    def _drop(self) -> int:
        """Read the body; its size in bytes."""
        piece = memoryview(bytearray(PIECE))
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self._drop_bytes(int(self.headers.get("Content-Length", 0)), piece)
        total = 0
        while size := int(self.rfile.readline(), 16):
            total += self._drop_bytes(size, piece)
            self.rfile.readline()
        self.rfile.readline()
        return total

    def _drop_bytes(self, size: int, piece: memoryview) -> int:
        left = size
        while left:
            found = self.rfile.readinto(piece[: min(left, PIECE)])
            if not found:
                raise ConnectionError("the body ended early")
            left -= found
        return size

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        if status != 204:  # noqa: PLR2004
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Log nothing."""


def main() -> None:
    """Serve until standard input ends, on the last core."""
    os.sched_setaffinity(0, sorted(range(os.cpu_count() or 1))[-1:])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
