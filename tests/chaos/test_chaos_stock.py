"""A stock client's process, of which a run waits for the beginning and for the end."""

from __future__ import annotations

import os
import sys

import pytest
from chaos.records import Seen, dump_seen
from chaos.stock import Stock
from parts.process import PartFailedError, Process


@pytest.fixture
def start(tmp_path):
    """Starts a program as a stock client; it is closed with the test."""
    started = []

    def start(program):
        hold, end = os.pipe()
        process = Process("client", [sys.executable, "-c", program], tmp_path / "log")
        process.start(hold)
        os.close(hold)
        started.append(process)
        return Stock(process, end, tmp_path / "ready", tmp_path / "seen")

    yield start
    for each in started:
        each.close()


def test_a_client_calls_until_its_input_ends(start, tmp_path):
    (tmp_path / "told").write_text(dump_seen(Seen(leaks=("x",))))
    client = start(
        f"import pathlib, sys; folder = pathlib.Path({str(tmp_path)!r});"
        " (folder / 'ready').touch();"
        " sys.stdin.read(); (folder / 'told').rename(folder / 'seen')"
    )
    client.wait()
    client.end()
    assert ("x",) == client.collect(30.0).leaks


def test_a_client_that_ends_before_it_calls_has_failed(start):
    client = start("raise SystemExit('no module of that name')")
    with pytest.raises(PartFailedError, match="no module of that name"):
        client.wait()
    client.end()


def test_a_client_that_has_seen_nothing_has_failed(start, tmp_path):
    client = start("")
    client.end()
    with pytest.raises(PartFailedError, match="failed"):
        client.collect(30.0)
