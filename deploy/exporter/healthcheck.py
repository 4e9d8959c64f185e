# ruff: noqa: INP001 - a script
"""Ends with 0 if the exporter in this container answers; for the image, which has no curl.

Whatever is answered will do: where there is TLS, or where there are users, what is asked here is
refused, but not by an exporter that hangs.
"""

import socket
import sys

with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2) as exporter:
    exporter.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
    exporter.recv(1)
