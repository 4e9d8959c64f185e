"""A Glance that gives half of an image's data and no more, for as long as it is there."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class HaltingGlance:
    """Serves one image, and halts in the middle of its data.

    Args:
        image: An image of a lab.
    """

    def __init__(self, image):
        self._closed = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(image))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def _handler(self, image):
        closed = self._closed

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self):
                with contextlib.suppress(OSError):  # its client may end at any time
                    super().handle()

            def do_GET(self):
                data = image.data if self.path.endswith("/file") else image.json
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if data is image.json:
                    self.wfile.write(data)
                    return
                self.wfile.write(data[: len(data) // 2])
                closed.wait()
                self.connection.shutdown(socket.SHUT_RDWR)

            def log_message(self, *_):
                pass

        return Handler

    def close(self):
        """End it, and what it has begun."""
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
