"""A Keystone that treats its clients badly."""

from __future__ import annotations

import contextlib
import socket
import threading
import time


class HostileKeystone:
    """Treats each connection as it is told, and notes when the client has left."""

    def __init__(self, talk, tls=None):
        self._talk = talk
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/v3"
        self.accepted = 0
        self._sockets = []
        self.asked = threading.Event()
        self.left = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.accepted += 1
                self._sockets.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with contextlib.suppress(OSError), sock:
            secured = self._tls.known.wrap_socket(sock, server_side=True) if self._tls else sock
            with secured:
                self._sockets.append(secured)
                secured.recv(65536)
                self.asked.set()
                self._talk(secured)
        self.left.set()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


def drip(start, each):
    """Send a beginning, then a piece every 20 ms for as long as the client listens."""

    def talk(sock):
        sock.sendall(start)
        while True:
            sock.sendall(each)
            time.sleep(0.02)

    return talk


DRIPS = {
    "status": drip(b"HTTP/1.1 ", b"1"),
    "headers": drip(b"HTTP/1.1 201 Created\r\n", b"X"),
    "body": drip(b"HTTP/1.1 201 Created\r\nContent-Length: 9999\r\n\r\n", b" "),
    "silence": lambda sock: all(iter(lambda: sock.recv(65536), b"")),
}
