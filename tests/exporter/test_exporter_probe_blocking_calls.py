"""Calls that block: one that hangs holds up no other, and threads are not without number."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import textwrap
import threading

import pytest
from probe_parts import LIMIT, HangingLookups, run, until

from traced_image.exporter.probing.blocking_calls import Address, BlockingCalls, Resolver


def test_a_call_gives_its_result():
    async def once():
        return await BlockingCalls().call("key", lambda: 42)

    assert 42 == run(once())


def test_a_call_raises_what_it_raised():
    def fail():
        raise LookupError("what it said")

    async def once():
        await BlockingCalls().call("key", fail)

    with pytest.raises(LookupError, match="what it said"):
        run(once())


def test_whoever_asks_meanwhile_waits_for_the_same_call():
    called, go = [], threading.Event()

    def wait():
        called.append(1)
        go.wait(LIMIT)
        return 42

    async def once():
        background = BlockingCalls()
        waiting = [asyncio.create_task(background.call("key", wait)) for _ in range(3)]
        await until(lambda: called)
        go.set()
        return await asyncio.gather(*waiting)

    assert [42] * 3 == run(once())
    assert [1] == called


def test_whoever_asks_later_has_a_call_of_its_own():
    called = []

    async def once():
        background = BlockingCalls()
        await background.call("key", lambda: called.append(1))
        await background.call("key", lambda: called.append(2))

    run(once())
    assert [1, 2] == called


def test_a_call_that_hangs_holds_up_no_other():
    go = threading.Event()

    async def once():
        background = BlockingCalls()
        hanging = asyncio.create_task(background.call("hangs", lambda: go.wait(LIMIT)))
        other = await background.call("other", lambda: 42)
        done = hanging.done()
        go.set()
        await hanging
        return other, done

    assert (42, False) == run(once())


def test_one_that_gives_up_waiting_leaves_the_call_to_the_others():
    called, go = [], threading.Event()

    def wait():
        called.append(1)
        go.wait(LIMIT)
        return 42

    async def once():
        background = BlockingCalls()
        first, second = (asyncio.create_task(background.call("key", wait)) for _ in range(2))
        await until(lambda: called)
        first.cancel()
        await asyncio.wait([first])
        go.set()
        return first.cancelled(), await second

    assert (True, 42) == run(once())


def test_no_more_calls_are_under_way_than_may_be():
    running, most, go = [], [], threading.Event()

    def wait():
        running.append(1)
        most.append(len(running))
        go.wait(LIMIT)
        running.pop()

    async def once():
        background = BlockingCalls(most=2)
        waiting = [asyncio.create_task(background.call(key, wait)) for key in range(5)]
        await until(lambda: len(running) == 2)
        go.set()
        await asyncio.gather(*waiting)

    run(once())
    assert (5, 2) == (len(most), max(most))


def test_an_error_that_nobody_waits_for_any_more_is_not_complained_of(caplog):
    go = threading.Event()

    def fail():
        go.wait(LIMIT)
        raise LookupError

    async def once():
        background = BlockingCalls()
        waiting = asyncio.create_task(background.call("key", fail))
        await until(lambda: background._under_way)
        waiting.cancel()
        await asyncio.wait([waiting])
        go.set()
        await until(lambda: not background._under_way)

    run(once())
    assert [] == caplog.records


def test_a_call_that_outlives_its_loop_is_not_complained_of():
    go, called = threading.Event(), []

    def wait():
        called.append(threading.current_thread())
        go.wait(LIMIT)

    async def leave():
        task = asyncio.create_task(BlockingCalls().call("key", wait))
        await until(lambda: called)
        task.cancel()

    run(leave())
    go.set()
    called[0].join(LIMIT)  # what a thread raises would be an error of the test
    assert not called[0].is_alive()


def test_a_call_whose_task_was_ended_leaves_no_error(caplog):
    go, called = threading.Event(), []

    def wait():
        called.append(threading.current_thread())
        go.wait(LIMIT)

    async def once():
        background = BlockingCalls()
        waiting = asyncio.create_task(background.call("key", wait))
        await until(lambda: called)
        background._under_way["key"].cancel()
        await asyncio.wait([waiting])
        go.set()
        await asyncio.to_thread(called[0].join, LIMIT)
        await asyncio.sleep(0)  # what the thread told is looked at now
        return waiting.cancelled()

    assert run(once())
    assert [] == caplog.records


def test_a_process_can_end_while_a_call_hangs():
    program = """
        import asyncio, threading
        from traced_image.exporter.probing.blocking_calls import BlockingCalls

        async def leave():
            call = BlockingCalls().call("key", threading.Event().wait)
            await asyncio.wait([asyncio.ensure_future(call)], timeout=0.1)

        asyncio.run(leave())
    """
    # A process that waits for its thread runs into the timeout.
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=60, check=False)
    assert 0 == done.returncode


# --- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", Address(socket.AF_INET, ("192.0.2.1", 9292))),
        ("2001:db8::1", Address(socket.AF_INET6, ("2001:db8::1", 9292, 0, 0))),
    ],
)
def test_an_address_is_not_looked_up(host, address):
    async def once():
        return await Resolver(BlockingCalls(), pytest.fail)(host, 9292)

    assert (address,) == run(once())


def test_a_name_has_the_addresses_that_are_found_in_their_order():
    def lookup(*_args, **_options):
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0)),
        ]

    async def once():
        return await Resolver(BlockingCalls(), lookup)("glance", 9292)

    assert (
        Address(socket.AF_INET6, ("2001:db8::1", 9292, 0, 0)),
        Address(socket.AF_INET, ("192.0.2.1", 9292)),
    ) == run(once())


def test_the_systems_resolver_is_asked_for_names():
    async def once():
        return await Resolver(BlockingCalls())("localhost", 9292)

    assert {9292} == {address.sockaddr[1] for address in run(once())}


def test_a_lookup_that_hangs_holds_up_no_other():
    lookups = HangingLookups("hangs")

    async def once():
        resolve = Resolver(BlockingCalls(), lookups)
        hanging = [asyncio.create_task(resolve("hangs", 9292)) for _ in range(50)]
        await until(lambda: lookups.asked)
        other = await resolve("other", 9292)
        lookups.go.set()
        await asyncio.gather(*hanging)
        return other

    assert (Address(socket.AF_INET, ("127.0.0.1", 9292)),) == run(once())
    assert ["hangs", "other"] == lookups.asked
