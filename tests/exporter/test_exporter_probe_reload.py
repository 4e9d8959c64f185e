"""The configuration is loaded again, and a bad one leaves the old one in force."""

from __future__ import annotations

import asyncio
import logging
import os
import threading

import pytest
import trustme
from probe_parts import LIMIT, config, run, until

from traced_image import load_config
from traced_image.errors import InvalidServer
from traced_image.exporter.probing.reload import Reloader

OLD = config("old:9292")
NEW = config("new:9292")


class Force:
    """What is in force, and what the gauge was set to."""

    def __init__(self):
        self.configs = []
        self.gauge = []

    def replace(self, new):
        self.configs.append(new)

    def record(self, value, _exemplar):
        self.gauge.append(value)


@pytest.fixture
def force():
    return Force()


class Looking(Reloader):
    """Counts its looks at the files."""

    looked = 0

    def _look(self):
        self.looked += 1
        return super()._look()

    async def look(self, count):
        """Wait for so many looks more."""
        last = self.looked + count
        await until(lambda: self.looked >= last)


def reloader(force, load, old=OLD):
    return Looking(load, force.replace, old, record=force.record, look_seconds=0.01)


def bad():
    raise InvalidServer("servers", "no server is configured", fix="give one")


def broken():
    raise ZeroDivisionError


async def watched(made, paths, *steps):
    """Watch meanwhile; each step is a function to call, or a condition to wait for."""
    task = asyncio.create_task(made.watch(paths))
    try:
        for step in steps:
            await (step if asyncio.iscoroutine(step) else asyncio.sleep(0, step()))
    finally:
        task.cancel()
        await asyncio.wait([task])


# --- when it is asked for ----------------------------------------------------------------------


def test_a_good_configuration_is_put_in_force(force):
    async def once():
        return await reloader(force, lambda: NEW).reload()

    assert run(once())
    assert [NEW] == force.configs


def test_the_gauge_is_1_from_the_start(force):
    async def once():
        reloader(force, lambda: NEW)

    run(once())
    assert [1.0] == force.gauge


BAD = {"refused": bad, "broken": broken}
every_bad = pytest.mark.parametrize("load", BAD.values(), ids=BAD.keys())


@every_bad
def test_a_bad_configuration_leaves_the_old_one_in_force(force, load):
    async def once():
        return await reloader(force, load).reload()

    assert not run(once())
    assert [] == force.configs


@every_bad
def test_the_gauge_is_0_after_a_bad_configuration(force, load):
    async def once():
        await reloader(force, load).reload()

    run(once())
    assert [1.0, 0.0] == force.gauge


def test_the_gauge_is_1_again_after_a_good_configuration(force):
    loads = [lambda: NEW, bad]

    def load():
        return loads.pop()()

    async def once():
        made = reloader(force, load)
        await made.reload()
        await made.reload()

    run(once())
    assert [1.0, 0.0, 1.0] == force.gauge


def test_a_bad_configuration_is_one_warning_that_tells_what_is_wrong(force, caplog):
    async def once():
        await reloader(force, bad).reload()

    run(once())
    assert [logging.WARNING] == [record.levelno for record in caplog.records]
    assert "no server is configured; give one" in caplog.text


def test_a_configuration_that_can_not_be_put_in_force_is_a_bad_one(force):
    force.replace = lambda _: bad()

    async def once():
        return await reloader(force, lambda: NEW).reload()

    assert not run(once())
    assert [1.0, 0.0] == force.gauge


def test_to_load_holds_up_nothing_else(force):
    go = threading.Event()

    def load():
        go.wait(LIMIT)
        return NEW

    async def once():
        task = asyncio.create_task(reloader(force, load).reload())
        await asyncio.sleep(0.01)
        done = task.done()
        go.set()
        return done, await task

    assert (False, True) == run(once())


def test_whoever_asks_for_it_has_it_at_once(force):
    async def once():
        made = Reloader(lambda: NEW, force.replace, OLD, look_seconds=LIMIT * 10)
        await watched(made, [], made.ask, until(lambda: force.configs))

    run(once())
    assert [NEW] == force.configs


def test_asking_again_while_it_loads_loads_again(force):
    go, loaded = threading.Event(), []

    def load():
        loaded.append(1)
        go.wait(LIMIT)
        return NEW

    async def once():
        made = reloader(force, load)
        again = until(lambda: len(force.configs) == 2)
        await watched(made, [], made.ask, until(lambda: loaded), made.ask, go.set, again)

    run(once())
    assert [NEW, NEW] == force.configs


# --- when a file has changed -------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "nova.conf"
    made.write_text("[glance]\napi_servers = http://old:9292\n")
    return made


def write(path, text):
    """Write a file of a new time, however coarse the file system's clock is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def test_a_changed_file_is_loaded(force, path):
    def load():
        return load_config(config_file=path, environ={})

    async def once():
        text = "[glance]\napi_servers = http://new:9292\n"
        made = reloader(force, load)
        await watched(
            made, [path], made.look(2), lambda: write(path, text), until(lambda: force.configs)
        )

    run(once())
    assert "new" == force.configs[0].servers[0].host


def test_a_file_that_has_not_changed_is_not_loaded(force, path):
    async def once():
        made = reloader(force, lambda: NEW)
        await watched(made, [path], made.look(10))

    run(once())
    assert [] == force.configs


def test_a_file_that_comes_later_is_loaded(force, tmp_path):
    path = tmp_path / "later.conf"

    async def once():
        made = reloader(force, lambda: NEW)
        await watched(made, [path], made.look(2), path.touch, until(lambda: force.configs))

    run(once())
    assert [NEW] == force.configs


def test_a_bad_file_is_loaded_once_until_it_changes_again(force, path, caplog):
    async def once():
        made = reloader(force, bad)
        failed = until(lambda: len(force.gauge) == 2)
        await watched(made, [path], made.look(2), lambda: write(path, ""), failed, made.look(10))

    run(once())
    assert 1 == len(caplog.records)


def test_a_file_is_left_alone_while_it_changes(force, path):
    class Changing(Looking):
        def _look(self):
            if self.looked < 20:
                write(path, f"x{self.looked}")
            return super()._look()

    loaded = []

    def load():
        loaded.append(made.looked)
        return NEW

    made = None

    async def once():
        nonlocal made
        made = Changing(load, force.replace, OLD, look_seconds=0.001)
        await watched(made, [path], until(lambda: force.configs))

    run(once())
    assert loaded[0] > 20


def test_a_path_that_is_none_is_a_file_that_is_not_there(force):
    async def once():
        made = reloader(force, lambda: NEW)
        await watched(made, ["no\0path"], made.look(5))

    run(once())
    assert [] == force.configs


def test_a_renewed_certificate_is_loaded(force, tmp_path):
    authority, cafile = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(cafile))
    old = config("https://old", cafile=str(cafile))

    async def once():
        made = reloader(force, lambda: NEW, old)
        text = cafile.read_text()
        renew = lambda: write(cafile, text)  # noqa: E731
        await watched(made, [], made.look(2), renew, until(lambda: force.configs))

    run(once())
    assert [NEW] == force.configs


def test_the_certificates_of_the_new_configuration_are_watched(force, tmp_path):
    cafile = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(cafile))
    new = config("https://new", cafile=str(cafile))

    async def once():
        made = reloader(force, lambda: new)
        first, second = (until(lambda count=count: len(force.configs) == count) for count in (1, 2))
        text = cafile.read_text()
        renew = lambda: write(cafile, text)  # noqa: E731
        await watched(made, [], made.ask, first, made.look(3), renew, second)

    run(once())
    assert [new, new] == force.configs
