"""Serves a WSGI application on the socket that is its standard input: serve.py MODULE:ATTRIBUTE.

It runs inside a part's own environment.
"""

import importlib
import socket
import sys
from pathlib import Path

import waitress


def main() -> None:
    module, _, attribute = sys.argv[1].partition(":")
    # Importing an OpenStack application parses the command line.
    del sys.argv[1:]
    # For applications that are beside this file; last, so that it shadows nothing.
    sys.path.append(str(Path(__file__).parent))
    application = getattr(importlib.import_module(module), attribute)
    waitress.serve(application, sockets=[socket.socket(fileno=0)], threads=4)


if __name__ == "__main__":
    main()
