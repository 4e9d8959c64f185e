"""Faults that apply together, for some clients, or by chance: shares of requests and delays."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traced_image import lab
from traced_image.errors import InvalidArgument
from traced_image.lab import faults
from traced_image.lab.http1 import ReceivedRequest
from traced_image.lab.resolving import FaultResolver

GET = ReceivedRequest("GET", "/v2/images")
PUT = ReceivedRequest("PUT", "/v2/images/x/file", {"x-auth-token": "a", "user-agent": "nova"})


@pytest.fixture
def meet():
    """Ask which faults each request meets: ``meet(fault, GET, PUT)``."""

    def ask(fault, *requests, peers=("127.0.0.1:40001",)):
        resolver = FaultResolver(lambda: 0.0)
        pairs = [(each, peers[index % len(peers)]) for index, each in enumerate(requests)]
        return [resolver.resolve(fault, request, peer).name for request, peer in pairs]

    return ask


# --- both at once ------------------------------------------------------------------------------


def test_faults_of_different_stages_apply_at_once(meet):
    fault = faults.delay(1) | faults.status(503) | faults.new_cookies() | faults.slow_body(1)
    assert ["delay|status|new_cookies|slow_body"] == meet(fault, GET)


def test_of_two_faults_of_one_stage_the_first_that_affects_the_request_applies(meet):
    fault = faults.status(503).only(method="PUT") | faults.not_json()
    assert ["status", "not_json"] == meet(fault, PUT, GET)


def test_a_second_fault_takes_over_after_the_firsts_limit(meet):
    fault = faults.status(503).times(2) | faults.not_json().times(1)
    assert ["status", "status", "not_json", None] == meet(fault, GET, GET, GET, GET)


def test_a_combination_is_narrowed_and_counted_as_one(meet):
    fault = (faults.delay(1) | faults.status(503)).only(method="PUT").times(1)
    assert [None, "delay|status", None] == meet(fault, GET, PUT, PUT)


def test_a_narrowed_combination_is_one_part_of_another(meet):
    both = (faults.delay(1) | faults.status(503)).times(1)
    assert ["delay|status", "not_json"] == meet(both | faults.not_json(), GET, GET)


def test_a_combination_can_be_one_of_flappings_faults(meet):
    fault = faults.flapping(faults.delay(1) | faults.status(503), None)
    assert ["delay|status", None] == meet(fault, GET, GET)


def test_each_request_takes_the_next_of_flappings_faults(meet):
    fault = faults.flapping(faults.status(503).only(method="PUT"), None)
    assert ["status", None, None] == meet(fault, PUT, GET, GET)


def test_flapping_leaves_its_healthy_replies_to_another_fault(meet):
    fault = faults.flapping(faults.status(503), None) | faults.not_json()
    assert ["status", "not_json"] == meet(fault, GET, GET)


def test_narrowed_flapping_is_not_used_up_by_other_requests(meet):
    fault = faults.flapping(faults.status(503), None).only(method="PUT")
    assert ["status", None, None, "status"] == meet(fault, PUT, GET, PUT, PUT)


@pytest.mark.parametrize(
    ("one", "other", "stage"),
    [
        (faults.status(503), faults.status(500), "reply"),
        (faults.delay(1), faults.delay(2), "wait"),
        (faults.refuse(), faults.status(503), "reply"),
        (faults.status(503), faults.never_read(), "reply"),
        (faults.reset(), faults.cut_body(), "delivery"),
        (faults.reset().after_effect(), faults.status(503), "reply"),
        (faults.extra_reply(404), faults.status(503), "reply"),
        (faults.extra_reply(), faults.slow_body(1), "delivery"),
        (faults.untrusted_tls(), faults.expiring_tls(), "handshake"),
        (faults.flapping(faults.status(503)), faults.not_json(), "reply"),
        (faults.limit_rate(send=1), faults.limit_rate(receive=1), "pace"),
    ],
)
def test_a_fault_that_would_never_apply_is_refused(one, other, stage):
    with pytest.raises(InvalidArgument, match=f"both concern the {stage} of an exchange"):
        one | other


def test_only_faults_can_be_combined():
    with pytest.raises(TypeError):
        faults.status(503) | 503


def test_a_handshake_goes_together_with_a_status():
    fault = faults.untrusted_tls() | faults.status(503)
    assert (True, True) == (fault.meets_connections, fault.meets_requests)


@pytest.mark.parametrize(
    "narrow",
    [
        lambda fault: fault.times(1),
        lambda fault: fault.with_probability(0.5),
        lambda fault: fault.per_client(),
    ],
)
def test_connections_and_requests_are_not_counted_as_one(narrow):
    with pytest.raises(InvalidArgument, match="it affects connections and requests"):
        narrow(faults.untrusted_tls() | faults.status(503))


def test_a_combination_takes_effect_if_all_its_faults_come_after_it():
    fault = (faults.delay(1) | faults.status(503)).after_effect()
    assert [True, True] == [part.carried_out for part in fault.parts]


def test_a_cut_upload_can_not_come_after_its_effect():
    with pytest.raises(InvalidArgument, match="reads no body"):
        (faults.delay(1).only(path="x") | faults.cut_upload()).after_effect()


def test_combined_faults_are_read_from_text():
    expected = (faults.delay(0.5) | faults.status(503)).only(path="/file$")
    assert expected == lab.parse_fault("(delay(0.5) | status(503)).only(path='/file$')")


def test_what_is_no_fault_is_not_combined_in_text():
    with pytest.raises(InvalidArgument, match=r"both sides of \| must be faults"):
        lab.parse_fault("status(503) | 1")


# --- for whom ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("narrowed", "expected"),
    [
        ({"client": "127.0.0.1"}, ["status", None, "status"]),
        ({"client": "127.0.0.2:40002"}, [None, "status", None]),
        ({"token": "a"}, [None, "status", "status"]),
        ({"headers": {"User-Agent": "^nova"}}, [None, "status", "status"]),
        ({"headers": {"User-Agent": "^nova"}, "client": "127.0.0.1"}, [None, None, "status"]),
    ],
)
def test_a_fault_affects_some_clients_only(meet, narrowed, expected):
    fault = faults.status(503).only(**narrowed)
    peers = ("127.0.0.1:40001", "127.0.0.2:40002", "127.0.0.1:40003")
    assert expected == meet(fault, GET, PUT, PUT, peers=peers)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("address", ["status", "status", None]),
        ("connection", ["status", "status", "status"]),
        ("token", ["status", "status", None]),
        ("User-Agent", ["status", "status", None]),
    ],
)
def test_each_client_has_a_count_of_its_own(meet, by, expected):
    fault = faults.status(503).times(1).per_client(by)
    peers = ("127.0.0.1:40001", "127.0.0.2:40002", "127.0.0.1:40003")
    assert expected == meet(fault, GET, PUT, PUT if by != "address" else GET, peers=peers)


def test_the_parts_of_a_combination_are_counted_for_each_client_too(meet):
    fault = (faults.status(503).times(1) | faults.delay(1)).per_client()
    peers = ("127.0.0.1:1", "127.0.0.2:2")
    expected = ["status|delay", "status|delay", "delay", "delay"]
    assert expected == meet(fault, GET, GET, GET, GET, peers=peers)


def test_the_text_of_a_fault_says_what_is_not_usual():
    text = "Fault(name='status', code=503, carried_out=False, limit=2)"
    assert text == repr(faults.status(503).times(2))


def test_a_token_is_not_in_the_text_of_a_fault():
    assert "secret" not in repr(faults.status(503).only(token="secret"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: faults.refuse().only(client="127.0.0.2"), "the kernel answers"),
        (lambda: faults.black_hole().with_probability(0.5), "the kernel answers"),
        (lambda: faults.status(503).only(headers="x"), "give headers as a dict"),
        (lambda: faults.status(503).only(headers={"x": "("}), "give a regular expression"),
        (lambda: faults.status(503).only(token=1), "give text"),
        (lambda: faults.status(503).with_probability(0), "above 0 and up to 1"),
        (lambda: faults.status(503).with_probability(1.1), "above 0 and up to 1"),
        (lambda: faults.status(503).with_probability(0.5, seed="a"), "give a number from 0"),
        (lambda: faults.status(503).per_client(1), "give address"),
        (lambda: faults.cut_body(-1), "give a number from 0"),
        (lambda: faults.cut_body(then="keep"), "give one of close, half_close"),
        (lambda: faults.cut_upload(1.5), "give a number from 0"),
        (lambda: faults.early_answer(413, after=-1), "give a number from 0"),
        (faults.limit_rate, "give send= or receive="),
        (lambda: faults.limit_rate(send=0), "give send= or receive="),
        (lambda: faults.limit_rate(receive="1k"), "give send= or receive="),
        (lambda: faults.delay(1, distribution="poisson"), "give one of uniform, normal"),
        (lambda: faults.delay(1, -1), "give seconds from 0"),
        (lambda: faults.expiring_tls(-1), "give seconds from 0"),
        (lambda: faults.nginx_error(200), "give an HTTP status from 400 to 599"),
        (lambda: faults.haproxy_error(507), "give one of 400, 401, 403"),
    ],
)
def test_what_has_no_meaning_is_refused(make, said):
    with pytest.raises(InvalidArgument, match=said):
        make()


# --- by chance ---------------------------------------------------------------------------------


def test_a_share_of_the_requests_is_affected(meet):
    met = meet(faults.status(503).with_probability(0.3, seed=1), *[GET] * 2000)
    assert 0.27 < met.count("status") / 2000 < 0.33


def test_a_seed_chooses_the_same_requests_again(meet):
    fault = faults.status(503).with_probability(0.5, seed=7)
    assert meet(fault, *[GET] * 50) == meet(fault, *[GET] * 50)


def test_another_seed_chooses_other_requests(meet):
    one, other = (faults.status(503).with_probability(0.5, seed=seed) for seed in (1, 2))
    assert meet(one, *[GET] * 50) != meet(other, *[GET] * 50)


def draw_delays(fault, count=2000):
    resolver = FaultResolver(lambda: 0.0)
    return [resolver.resolve(fault, GET, "").parts[0].interval for _ in range(count)]


@pytest.mark.parametrize(
    ("distribution", "mean"),
    [("uniform", 2.0), ("normal", 2.0), ("exponential", 2.5), ("lognormal", 2.0 * 1.1331)],
)
def test_a_delays_mean_is_that_of_its_distribution(distribution, mean):
    delays = draw_delays(faults.delay(2, 0.5, distribution=distribution, seed=1))
    assert mean == pytest.approx(statistics.mean(delays), rel=0.05)


def test_a_delay_without_jitter_is_always_the_same():
    assert {2} == set(draw_delays(faults.delay(2), 3))


@given(
    st.floats(0, 100),
    st.floats(0, 100),
    st.sampled_from(["uniform", "normal", "exponential", "lognormal"]),
    st.integers(0, 2**32),
)
def test_no_delay_is_below_zero_and_a_seed_gives_it_again(seconds, jitter, distribution, seed):
    fault = faults.delay(seconds, jitter, distribution=distribution, seed=seed)
    first = draw_delays(fault, 5)
    assert (True, first) == (min(first) >= 0, draw_delays(fault, 5))


@given(st.floats(0.01, 1), st.integers(0, 2**32), st.integers(1, 20))
def test_a_limit_holds_whatever_the_chance(share, seed, limit):
    fault = faults.status(503).times(limit).with_probability(share, seed=seed)
    resolver = FaultResolver(lambda: 0.0)
    met = sum(bool(resolver.resolve(fault, GET, "")) for _ in range(50))
    assert met <= limit
