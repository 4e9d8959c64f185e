"""A backend of traces, metrics and logs that appends what it is sent to files, message by message.

Run as a program with a folder and a port for OTLP by HTTP. A message is with the system before it
is answered, so that whoever was told that it arrived can rely on it.
"""

import gzip
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FILES = {"/v1/traces": "traces", "/v1/metrics": "metrics", "/v1/logs": "logs"}
FOLDER = Path(sys.argv[1])
_WRITING = threading.Lock()


class Backend(BaseHTTPRequestHandler):
    """Writes each message behind its length in 8 bytes."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        with _WRITING, (FOLDER / FILES[self.path]).open("ab") as file:
            file.write(len(body).to_bytes(8, "big") + body)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Backend)
    Path(FOLDER, f"ready-{os.getpid()}").touch()
    server.serve_forever()
