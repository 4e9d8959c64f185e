"""Basic authentication, the bound on requests, and the headers, as clients meet them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import threading

import bcrypt
import pytest
from serving import LIMIT, ask, connection, until
from starlette.responses import PlainTextResponse

from traced_image.exporter.web.auth import (
    MOST_WAITING,
    REMEMBERED,
    Passwords,
    RateLimiter,
    read_credentials,
)
from traced_image.exporter.web.config_file import Rate, WebConfigFile

ALICE, BOB = (
    bcrypt.hashpw(password, bcrypt.gensalt(4)).decode() for password in (b"secret", b"geheim")
)
USERS = {"alice": ALICE.encode(), "bob": BOB.encode()}


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


# --- over the wire -----------------------------------------------------------------------------


@pytest.fixture
def web(write):
    return WebConfigFile(write(f"basic_auth_users: {{alice: '{ALICE}', bob: '{BOB}'}}"))


@pytest.fixture
def guarded(serve, web):
    return serve(web=web)


@pytest.mark.parametrize(
    "value",
    [
        basic("alice", "secret"),
        basic("bob", "geheim"),
        "bASIC  " + basic("alice", "secret").removeprefix("Basic "),
    ],
)
def test_a_user_is_answered(guarded, value):
    assert (200, b"hello\n") == ask(guarded, Authorization=value)[::2]


@pytest.mark.parametrize(
    "value",
    [
        basic("alice", "geheim"),
        basic("alice", "secret "),
        basic("alice", ""),
        basic("Alice", "secret"),
        basic("", "secret"),
        basic("carol", "secret"),
        basic("alic\xe9", "secret"),
        "Basic " + base64.b64encode(b"alice").decode(),
        "Basic " + base64.b64encode(b"\xff\x00:\xff").decode(),
        "Basic not base64!",
        "Basic",
        "Bearer " + basic("alice", "secret").removeprefix("Basic "),
        "",
    ],
)
def test_nobody_else_is_answered(guarded, value):
    status, headers, body = ask(guarded, Authorization=value)
    assert (
        401,
        'Basic realm="traced-image", charset="UTF-8"',
        b"a user and a password, please\n",
    ) == (
        status,
        headers["www-authenticate"],
        body,
    )


def test_a_request_without_credentials_is_not_answered(guarded):
    assert 401 == ask(guarded)[0]


def test_only_the_first_72_bytes_of_a_password_count_as_bcrypt_has_it(serve, write):
    hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    handle = serve(web=WebConfigFile(write(f"basic_auth_users: {{alice: '{hashed}'}}")))
    assert 200 == ask(handle, Authorization=basic("alice", "x" * 100))[0]


def test_a_user_with_another_kind_of_text_in_name_and_password_is_answered(serve, write):
    hashed = bcrypt.hashpw("pässwörd:\0".encode(), bcrypt.gensalt(4)).decode()
    handle = serve(web=WebConfigFile(write(f"basic_auth_users: {{ünï: '{hashed}'}}")))
    assert 200 == ask(handle, Authorization=basic("ünï", "pässwörd:\0"))[0]


def test_who_is_no_user_any_more_is_not_answered_on_a_connection_from_before(serve, write):
    path = write(f"basic_auth_users: {{alice: '{ALICE}', bob: '{BOB}'}}")
    now = [0.0]
    handle = serve(web=WebConfigFile(path, clock=lambda: now[0]))
    opened = connection(handle)
    statuses = []
    for _ in range(2):
        opened.request("GET", "/", headers={"Authorization": basic("alice", "secret")})
        reply = opened.getresponse()
        reply.read()
        statuses.append(reply.status)
        write(f"basic_auth_users: {{bob: '{BOB}'}}")
        now[0] += 2.0
    opened.close()
    assert [200, 401] == statuses


@pytest.fixture
def adorned(serve, write):
    headers = "{X-Frame-Options: deny, Content-Security-Policy: sandbox}"
    text = f"http_server_config: {{headers: {headers}}}\nbasic_auth_users: {{alice: '{ALICE}'}}"
    own = {"content-security-policy": "default-src 'none'", "x-own": "yes"}
    return serve(PlainTextResponse("hello\n", headers=own), WebConfigFile(write(text)))


def test_the_headers_are_on_an_answer_in_place_of_its_own(adorned):
    with contextlib.closing(connection(adorned)) as opened:
        opened.request("GET", "/", headers={"Authorization": basic("alice", "secret")})
        headers = opened.getresponse().headers
    names = ("x-frame-options", "content-security-policy", "x-own")
    assert [["deny"], ["sandbox"], ["yes"]] == [headers.get_all(name) for name in names]


def test_the_headers_are_on_a_refusal(adorned):
    assert "deny" == ask(adorned)[1]["x-frame-options"]


def test_more_requests_than_the_rate_allows_are_sent_away(serve, write):
    text = "rate_limit: {interval: 1h, burst: 2}"
    handle = serve(web=WebConfigFile(write(text)))
    assert [200, 200, 429] == [ask(handle)[0] for _ in range(3)]


def test_nothing_of_a_password_is_logged(guarded, caplog):
    caplog.set_level(logging.DEBUG)
    for password in ("secret", "wrong-guess"):
        ask(guarded, Authorization=basic("alice", password))
    logged = " ".join(record.getMessage() for record in caplog.records)
    assert [] == [word for word in ("secret", "guess", "alice", "Basic", ALICE) if word in logged]


# --- how passwords are checked -----------------------------------------------------------------


class Check:
    """A check of passwords that notes what it is asked, and can be made to wait."""

    def __init__(self):
        self.asked = []
        self.threads = set()
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, password, hashed):
        self.asked.append((password, hashed))
        self.threads.add(threading.get_ident())
        assert self.go_on.wait(LIMIT)
        return bcrypt.checkpw(password, hashed)


@pytest.fixture
def check():
    return Check()


def told(check, *claims, users=USERS):
    """What is told of some claims, one after the other."""

    async def ask_all():
        passwords = Passwords(check)
        return [await passwords.right(users, claim) for claim in claims]

    return asyncio.run(ask_all())


@pytest.mark.parametrize("claim", [(b"alice", b"secret"), (b"alice", b"no"), (b"carol", b"no")])
def test_what_was_told_once_is_not_checked_again(check, claim):
    first, *others = told(check, claim, claim, claim)
    assert ([first, first], 1) == (others, len(check.asked))


def test_another_password_is_checked(check):
    claims = [(b"alice", b"secret"), (b"alice", b"secre"), (b"bob", b"secret")]
    assert ([True, False, False], 3) == (told(check, *claims), len(check.asked))


def test_where_name_and_password_part_makes_a_difference(check):
    hashed = USERS["alice"]
    claims = [(b"a", hashed + b"b"), (b"a" + hashed, b"b")]
    told(check, *claims, users={"alice": hashed})
    assert 2 == len(check.asked)


def test_a_changed_hash_is_checked_again(check):
    async def ask_both():
        passwords = Passwords(check)
        claim = (b"alice", b"secret")
        return [await passwords.right(users, claim) for users in (USERS, {"alice": USERS["bob"]})]

    assert [True, False] == asyncio.run(ask_both())


def test_who_gets_a_hash_of_another_is_known_from_then_on(check):
    async def ask_both():
        passwords = Passwords(check)
        before, after = {"alice": USERS["alice"]}, {"bob": USERS["alice"]}
        return [await passwords.right(users, (b"bob", b"secret")) for users in (before, after)]

    assert [False, True] == asyncio.run(ask_both())


def test_an_unknown_user_costs_what_a_known_one_does(check):
    told(check, (b"carol", b"secret"))
    assert check.asked[0][1] in USERS.values()


def test_an_unknown_user_always_costs_the_same(check):
    told(check, *((b"carol", b"%d" % number) for number in range(20)))
    assert 1 == len({hashed for _, hashed in check.asked})


def test_an_unknown_user_is_wrong_even_with_a_password_of_another(check):
    claims = [
        (b"%d" % number, password) for number in range(9) for password in (b"secret", b"geheim")
    ]
    assert {False} == set(told(check, *claims))


def test_passwords_are_checked_outside_of_the_event_loop(check):
    told(check, (b"alice", b"secret"))
    assert threading.get_ident() not in check.threads


def test_wrong_guesses_push_no_right_password_out_of_memory(check):
    claims = [
        (b"alice", b"secret"),
        *((b"bob", b"%d" % number) for number in range(REMEMBERED + 1)),
    ]
    told(check, *claims, (b"alice", b"secret"))
    assert 1 == check.asked.count((b"secret", USERS["alice"]))


def test_what_is_remembered_is_bounded(check):
    claims = [(b"bob", b"%d" % number) for number in range(REMEMBERED + 1)]
    told(check, *claims, claims[0], claims[-1])
    assert (2, 1) == tuple(
        check.asked.count((claim[1], USERS["bob"])) for claim in claims[::REMEMBERED]
    )


def test_what_was_asked_for_lately_is_remembered_longest(check):
    claims = [(b"bob", b"%d" % number) for number in range(REMEMBERED + 1)]
    told(check, *claims[:-1], claims[0], claims[-1], claims[0])
    assert 1 == check.asked.count((b"0", USERS["bob"]))


def at_once(check, *claims):
    """What is told of claims that come together, the check being stopped until all are there."""
    check.go_on.clear()

    async def ask_all():
        passwords = Passwords(check)
        tasks = [asyncio.ensure_future(passwords.right(USERS, claim)) for claim in claims]
        await asyncio.sleep(0.01)
        waiting = sum(not task.done() for task in tasks)
        check.go_on.set()
        return waiting, await asyncio.gather(*tasks)

    return asyncio.run(ask_all())


def test_the_same_claim_made_several_times_at_once_is_checked_once(check):
    assert ([True] * 5, 1) == (at_once(check, *[(b"alice", b"secret")] * 5)[1], len(check.asked))


def test_one_password_is_checked_at_a_time(check):
    check.go_on.clear()

    async def ask_two():
        passwords = Passwords(check)
        tasks = [
            asyncio.ensure_future(passwords.right(USERS, (b"bob", password)))
            for password in (b"1", b"2")
        ]
        await asyncio.to_thread(until, lambda: check.asked)
        asked = len(check.asked)
        check.go_on.set()
        await asyncio.gather(*tasks)
        return asked

    assert 1 == asyncio.run(ask_two())


def test_more_claims_than_can_wait_are_sent_away(check):
    claims = [(b"bob", b"%d" % number) for number in range(MOST_WAITING + 2)]
    assert (MOST_WAITING, [False] * MOST_WAITING + [None] * 2) == at_once(check, *claims)


def test_who_is_remembered_waits_for_nobody(check):
    async def ask():
        passwords = Passwords(check)
        await passwords.right(USERS, (b"alice", b"secret"))
        check.go_on.clear()
        others = [
            asyncio.ensure_future(passwords.right(USERS, (b"bob", b"%d" % number)))
            for number in range(MOST_WAITING)
        ]
        await asyncio.to_thread(until, lambda: len(check.asked) > 1)
        right = await passwords.right(USERS, (b"alice", b"secret"))
        check.go_on.set()
        await asyncio.gather(*others)
        return right

    assert asyncio.run(ask())


def test_who_is_sent_away_over_the_wire_is_told_to_come_again(guarded, monkeypatch):
    monkeypatch.setattr("traced_image.exporter.web.auth.MOST_WAITING", 0)
    status, headers, _ = ask(guarded, Authorization=basic("alice", "secret"))
    assert (503, "1") == (status, headers["retry-after"])


# --- parts -------------------------------------------------------------------------------------


def test_the_first_of_several_authorizations_counts():
    values = [basic("a", "1"), basic("b", "2")]
    headers = [(b"host", b"x"), *((b"authorization", value.encode()) for value in values)]
    assert (b"a", b"1") == read_credentials(headers)


def test_a_password_may_have_colons():
    assert (b"a", b"b:c") == read_credentials([(b"authorization", basic("a", "b:c").encode())])


class Clock:
    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


def test_a_bucket_lets_a_burst_through_and_then_one_each_interval(clock):
    bucket, rate = RateLimiter(clock), Rate(10.0, 2)
    passed = []
    for now in (0, 0, 0, 9, 10, 11, 40, 40, 40):
        clock.time = now
        passed.append(bucket.take(rate))
    assert [True, True, False, False, True, False, True, True, False] == passed


def test_a_bucket_without_a_rate_lets_all_through(clock):
    bucket = RateLimiter(clock)
    assert [True] * 9 == [bucket.take(None) for _ in range(9)]


def test_a_new_rate_counts_from_when_it_is_there(clock):
    bucket = RateLimiter(clock)
    rates = [Rate(10.0, 1), Rate(10.0, 1), Rate(10.0, 2), None, Rate(10.0, 1)]
    assert [True, False, True, True, True] == [bucket.take(rate) for rate in rates]
