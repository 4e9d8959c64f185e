"""A program of its own that has OpenTelemetry's SDK set up, makes calls, and ends."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading

from waiting import LIMIT, until

CALLS = """
    import logging
    import sys

    import traced_image
    from traced_image import RetryPolicy
    from traced_image.telemetry import setup

    logging.getLogger("traced_image").addHandler(logging.NullHandler())
    setup()
    image_id, *urls = sys.argv[1:]
    service = traced_image.connect(servers=urls, retry=RetryPolicy(backoff_base=0.0))
    for _ in urls:
        service.show(None, image_id)
    b"".join(service.download(None, image_id))
"""
"""Nothing here exports, flushes or closes: the end of the program has to do."""


class Program:
    """A program under way.

    Args:
        source: Its text.
        *arguments: Its arguments.
        **environment: Variables beside those of this process.
    """

    def __init__(self, source, *arguments, **environment):
        self.errors = ""
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(source), *arguments],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        for line in self._process.stderr:
            self.errors += line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.runs:
            self._process.kill()
        self.end()

    def says(self, text):
        """Wait until it has said so on its standard error."""
        return until(lambda: text in self.errors or not self.runs) and text in self.errors

    @property
    def runs(self):
        return self._process.poll() is None

    def end(self):
        """Let one that waits for its standard input go on; return its exit status."""
        self._process.stdin.close()
        status = self._process.wait(LIMIT)
        self._thread.join()
        self._process.stderr.close()
        return status
