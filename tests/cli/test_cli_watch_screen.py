"""The screen of ``watch`` for more servers than there are lines, and tables at 80 columns."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace

import pytest
from rich.console import Console
from terminals import plain

from traced_image import lab
from traced_image.cli.watch_probes import ProbeTable
from traced_image.cli.watch_screen import WatchScreen
from traced_image.config import parse_servers
from traced_image.exporter.journal import Journal
from traced_image.exporter.probing.result import ProbeResult, ProbeResults


class Watched:
    """Servers of which the last ones fail, on a terminal of some size."""

    def __init__(self, servers=40, failing=0, columns=80, lines=24, has_keys=True):
        names = [f"10.0.0.{number}" for number in range(100, 100 + servers)]
        self.servers = parse_servers(names, "a test")
        self.results = ProbeResults()
        for place, server in enumerate(reversed(self.servers)):
            reason = "connection_refused" if place < failing else ""
            self.results.put(ProbeResult(server, 0.0, {}, reason=reason))
        prober = SimpleNamespace(
            results=self.results,
            probe=SimpleNamespace(config=SimpleNamespace(servers=self.servers)),
            interval=5.0,
        )
        self.console = Console(
            file=io.StringIO(), force_terminal=True, width=columns, height=lines, color_system=None
        )
        on = SimpleNamespace(prober=prober, journal=Journal())
        self.screen = WatchScreen(self.console, ProbeTable(on), has_keys=has_keys)

    def lines(self):
        """What the screen shows, line by line."""
        with self.console.capture() as captured:
            self.console.print(self.screen.draw())
        return plain(captured.get()).splitlines()

    def places(self):
        """The last number of each address that the screen shows."""
        return [int(each) for each in re.findall(r"10\.0\.0\.(\d+):", "\n".join(self.lines()))]


def test_all_servers_are_shown_where_they_fit():
    watched = Watched(servers=20)
    assert (list(range(100, 120)), "0 of 20 fail; every 5 s; q ends it") == (
        watched.places(),
        watched.lines()[-1],
    )


@pytest.mark.parametrize("lines", [24, 10, 5, 3])
@pytest.mark.parametrize("columns", [80, 40])
def test_the_screen_is_never_higher_than_the_terminal(columns, lines):
    watched = Watched(columns=columns, lines=lines)
    drawn = watched.lines()
    assert (True, "q ends it") == (len(drawn) <= lines, " ".join(drawn)[-9:])


def test_the_screen_is_used_whole():
    assert 24 == len(Watched().lines())


def test_what_is_not_shown_is_counted():
    told = " ".join(" ".join(Watched(failing=30).lines()[-2:]).split())
    assert told.endswith(
        "30 of 40 fail; every 5 s; 20 not shown, 10 of them fail; arrows and page keys scroll;"
        " q ends it"
    )


def test_those_that_fail_are_first():
    assert [138, 139, 100, 101] == Watched(failing=2).places()[:4]


def test_keys_that_are_not_there_are_not_told_of():
    assert "scroll" not in " ".join(Watched(has_keys=False).lines())


@pytest.mark.parametrize(
    ("moves", "first"),
    [
        ([(1, 0)], 101),
        ([(1, 0), (1, 0), (-1, 0)], 101),
        ([(-1, 0)], 100),
        ([(0, 1), (0, -1)], 100),
    ],
)
def test_keys_move_the_rows(moves, first):
    watched = Watched()
    watched.lines()
    for move in moves:
        watched.screen.scroll(*move)
        places = watched.places()
    assert first == places[0]


def test_a_page_goes_on_where_the_screen_ends():
    watched = Watched(servers=100)
    last = watched.places()[-1]
    watched.screen.scroll(0, 1)
    assert last + 1 == watched.places()[0]


def test_the_end_is_a_full_screen():
    watched = Watched()
    shown = len(watched.places())
    for _ in range(9):
        watched.screen.scroll(0, 1)
        places = watched.places()
    assert (139, shown) == (places[-1], len(places))


def test_a_terminal_without_room_has_the_summary():
    line = Watched(columns=40, lines=1).lines()[0]
    assert line.startswith("0 of 40 fail; every 5 s; 40 not shown")


# --- the program -------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["\x1b[B", "\x1bOB", "j"])
def test_a_key_scrolls_the_table(terminal, three, on, key):
    first, second, _ = sorted(f"127.0.0.1:{server.port}" for server in three)
    options = ["--interval", "1h", *on(*three)]
    result = terminal("watch", *options, lines=4, steps=[(first, key)], keys="q", when=second)
    assert (0, True) == (result.status, second in plain(result.out))


def test_several_keys_at_once_are_each_seen(terminal, server, on):
    options = ["--interval", "1h", *on(server)]
    assert 0 == terminal("watch", *options, keys="\x1b[B\x1b[6~q", when="q ends").status


LONG = "a name of an image that is as long as such names are now and then"


@pytest.fixture
def at_80(terminal):
    """Run the program on a terminal of 80 columns; the lines that it prints."""

    def run(*arguments):
        lines = plain(terminal(*arguments, columns=80).out).splitlines()
        assert 80 >= max(map(len, lines))
        return lines

    return run


def test_a_list_is_a_table(at_80, server, on, images):
    image_id = images.add(name=LONG, disk_format="qcow2", data=b"x" * 1000)
    heading, _, *rows = at_80("list", *on(server))
    assert (True, True, LONG.replace(" ", "")) == (
        heading.startswith("id "),
        rows[0].startswith(image_id),
        "".join(row[37:][: heading.index("status") - 37] for row in rows).replace(" ", ""),
    )


def test_a_configuration_is_a_table(at_80, on):
    names = [f"http://glance-{number}.a-long-name.example:9292" for number in range(3)]
    heading, *rows = at_80("config", *on(*names))
    values = "".join(row[heading.index("value") : heading.index("source")].strip() for row in rows)
    assert (True, True) == (heading.startswith("option "), names[-1] in values)


def test_a_probe_is_a_row(at_80, three, on):
    three[0].break_with(lab.faults.refuse())
    lines = at_80("servers", *on(*three))
    assert ["server", "state", "why", "ms", "api", "health", "certificate"] == lines[0].split()
