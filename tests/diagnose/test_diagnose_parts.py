"""The small parts: JSON of others, episodes, latencies, words, PromQL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from promql_parser import parse

from traced_image.diagnosis import json_values, promql, words
from traced_image.diagnosis.episodes import PAUSE, Episode, add_points, choose_step, find_latest
from traced_image.diagnosis.latencies import compare, is_slow
from traced_image.diagnosis.observations import STREAM_ERROR, Latency, name_server
from traced_image.telemetry import catalogue

# --- JSON --------------------------------------------------------------------------------------

SOME = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("ab"), inner),
)


@given(SOME)
def test_any_json_has_values_of_the_right_types(value):
    found = (
        json_values.find_list(value, "a", "b"),
        json_values.find_text(value, "a"),
        json_values.find_texts(value, "a"),
        json_values.find_numbers(value, "a"),
    )
    assert (list, str, dict, dict) == tuple(map(type, found))


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, 1.0), ("1.5", 1.5), (True, None), ("x", None), ("NaN", None), (None, None), ([], None)],
)
def test_a_number_may_be_a_text(value, number):
    assert number == json_values.find_number({"a": value}, "a")


def test_a_number_that_is_too_large_is_none():
    assert None is json_values.find_number({"a": 10**400}, "a")


# --- episodes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "episode"),
    [
        ({}, None),
        ({10.0: 0.0}, None),
        ({10.0: 0.4}, None),
        ({10.0: 1.0}, Episode(10.0, 10.0)),
        ({20.0: 1.0, 10.0: 2.0}, Episode(10.0, 20.0, 10.0)),
        ({10.0: 1.0, 10.0 + PAUSE: 1.0}, Episode(10.0, 10.0 + PAUSE, PAUSE)),
        ({10.0: 1.0, 11.0 + PAUSE: 1.0}, Episode(11.0 + PAUSE, 11.0 + PAUSE)),
    ],
)
def test_failures_without_a_pause_are_one_episode(counts, episode):
    assert episode == find_latest(counts)


@given(st.dictionaries(st.floats(1, 1e9), st.floats(0, 9)))
def test_the_latest_episode_ends_with_the_last_failure(counts):
    failing = [time for time, count in counts.items() if count >= 0.5]
    episode = find_latest(counts)
    assert (max(failing) if failing else None) == (episode and episode.last)


def test_series_are_added_by_time():
    assert {1.0: 3.0, 2.0: 5.0} == add_points([[(1.0, 1.0), (2.0, 5.0)], [(1.0, 2.0)]])


@pytest.mark.parametrize(
    ("window", "scrape", "step"), [(60, 1, 5), (60, 15, 30), (3600, 15, 30), (86400, 15, 720)]
)
def test_a_step_has_two_scrapes_and_a_window_few_steps(window, scrape, step):
    assert step == choose_step(window, scrape)


# --- latencies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("latency", "slow"),
    [
        (Latency("images.get", 0.5, 0.01), True),
        (Latency("images.get", 0.1, 0.01), False),
        (Latency("images.get", 3.0, 1.0), False),
        (Latency("images.get", 6.0), True),
        (Latency("images.get", 6.0, 5.9), True),
        (Latency("images.data", 6.0, 5.9), False),
        (Latency("images.get", 4.0), False),
        (Latency("images.data", 6.0), False),
        (Latency("images.data", 6.0, 0.1), True),
    ],
)
def test_a_server_is_slow_beside_others_or_by_itself(latency, slow):
    assert slow is is_slow(latency)


def test_each_server_is_compared_with_the_others():
    compared = compare({"get": {"a": 1.0, "b": 2.0, "c": 9.0}, "list": {"a": 1.0}})
    assert (Latency("get", 1.0, 5.5), Latency("list", 1.0, None)) == compared["a"]


# --- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        ((), "fails"),
        (("503",), "answers HTTP 503"),
        (("503", "500"), "answers HTTP 503 and HTTP 500"),
        (("503", "read_timeout"), "answers HTTP 503 or fails (read_timeout)"),
        (("read_timeout", "503"), "never answers (read_timeout) or answers HTTP 503"),
        (("read_timeout",), "never answers (read_timeout)"),
        (("_OTHER",), "fails (reason not told)"),
    ],
)
def test_a_server_is_said_to_do_what_its_reason_means(reasons, said):
    assert said == words.describe_failure(reasons)


def test_each_reason_that_has_words_is_one_of_the_catalogues():
    assert {STREAM_ERROR} == {*words._VERBS} - catalogue.KNOWN_REASONS


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3.0, "0 ms"),
        (0.0051, "5.1 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1.012, "1.01 s"),
        (75, "75 s"),
        (720, "12 min"),
        (7300, "2 h"),
        (3 * 86400, "3 days"),
    ],
)
def test_a_duration_has_the_unit_that_fits_it(seconds, said):
    assert said == words.format_duration(seconds)


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, "0 %"), (0.001, "less than 1 %"), (0.37, "37 %"), (1.0, "100 %")]
)
def test_a_share_is_a_percentage(share, said):
    assert said == words.format_share(share)


@pytest.mark.parametrize(
    ("every", "said"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (list("abc"), "a, b and c")],
)
def test_words_are_joined_as_in_a_sentence(every, said):
    assert said == words.join(every)


@pytest.mark.parametrize(
    ("count", "name", "said"),
    [(1, "call", "1 call"), (2000, "call", "2,000 calls"), (2, "process", "2 processes")],
)
def test_a_count_names_what_it_is_of(count, name, said):
    assert said == words.format_count(count, name)


@pytest.mark.parametrize(("now", "said"), [(1000.0, "00:01:40"), (1e6, "1970-01-01 00:01:40")])
def test_a_time_has_its_date_if_that_is_another(now, said):
    assert said == words.format_time(100.0, now)


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({"server_address": "a", "server_port": "1"}, "a:1"),
        ({"server.address": "::1", "server.port": 1}, "[::1]:1"),
        ({}, ""),
    ],
)
def test_a_server_is_named_by_labels_or_attributes(labels, name):
    assert name == name_server(labels)


# --- PromQL ------------------------------------------------------------------------------------

ASK = promql.Questions(('a"b', "c.d"))
ADDED_UP = promql.Questions(ASK.jobs, ("c.d",))
SERVER = promql.match_server(("10.0.0.1", "9292"))
QUESTIONS = [
    *(getattr(ASK, name)() for name in ("processes", "scrapes", "token_failures_now", "states")),
    *(getattr(ASK, name)(60.0, SERVER) for name in ("failures", "successes")),
    *(getattr(ASK, name)(SERVER) for name in ("failures_now", "failed_buckets")),
    *(getattr(ASK, name)(SERVER, 60.0) for name in ("asking", "failing", "succeeding", "changes")),
    *(getattr(ASK, name)(SERVER, 1e9) for name in ("since", "row")),
    ASK.added_up(),
    *(getattr(ADDED_UP, name)() for name in ("scrapes", "states")),
    ADDED_UP.failures(60.0, SERVER),
    *(getattr(ADDED_UP, name)(SERVER, 60.0) for name in ("asking", "failing", "changes")),
    *(getattr(ADDED_UP, f"{name}_by_state")(SERVER, 1e9) for name in ("failing", "succeeding")),
    *(each(60.0) for each in (ASK.load, ASK.answers)),
    ASK.refused(60.0, SERVER),
    ASK.refused_now(SERVER),
    ASK.usual(60.0),
    ASK.durations(SERVER, seconds=60.0),
    ASK.never(SERVER, 60.0, 30.0),
    ASK.summed(catalogue.RETRY_COST, 60.0, SERVER),
    ASK.summed(catalogue.TOKEN_FAILURES, 0.1, by="job"),
    ASK.calls(60.0, "exhausted", by="job"),
    ASK.last(catalogue.LAST_SUCCESS, SERVER),
    promql.alerts(60.0),
    promql.PROBES,
    promql.PROBES_SINCE,
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_question_is_promql(question):
    parse(question)


def test_every_question_is_asked_of_the_jobs_alone():
    own = [each for each in QUESTIONS if each not in (promql.alerts(60.0), promql.PROBES)]
    assert [] == [each for each in own if "job=~" not in each and each != promql.PROBES_SINCE]


@given(st.text())
def test_any_text_is_a_string_of_promql(text):
    parse(f"up{{job={promql.quote(text)}}}")
