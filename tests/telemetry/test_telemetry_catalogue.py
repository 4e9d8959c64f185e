"""The catalogue has every reason and outcome that the pipeline knows."""

import ast
import typing
from pathlib import Path

import pytest

import traced_image
from traced_image import AttemptError, HTTPStatusError, RetryPolicy
from traced_image.errors import Reason, Verdict, status_error
from traced_image.pipeline.attempts.retry_loop import find_verdict
from traced_image.reasons import find_reason
from traced_image.telemetry import catalogue
from traced_image.telemetry.verdicts import TOKEN_UNAVAILABLE, decide_verdict

SOURCES = sorted(Path(traced_image.__file__).parent.glob("**/*.py"))


def reasons(tree):
    """The texts that a module makes a `Reason` of, and those of the table of exceptions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            place = {"Reason": 0, "_Rule": 2}.get(node.func.id)
            if place is not None and isinstance(node.args[place], ast.Constant):
                yield node.args[place].value
        if isinstance(node, ast.FunctionDef) and node.name == "_find_rule":
            returned = (one.value for one in ast.walk(node) if isinstance(one, ast.Return))
            yield from (
                one.elts[1].value
                for one in returned
                if isinstance(one, ast.Tuple) and isinstance(one.elts[1], ast.Constant)
            )


def test_the_reasons_are_those_that_the_pipeline_gives():
    given = {reason for source in SOURCES for reason in reasons(ast.parse(source.read_text()))}
    assert set(catalogue.REASONS) - {TOKEN_UNAVAILABLE} == given


def test_an_attempt_is_refused_by_what_the_default_policy_does_not_retry():
    errors = {
        status: status_error(status, "no", retry_after=None, request_id=None)
        for status in range(400, 600)
    }
    assert {status: find_verdict(error, RetryPolicy()) for status, error in errors.items()} == {
        status: decide_verdict(catalogue.close_reason(error.reason))
        for status, error in errors.items()
    }


@pytest.mark.parametrize(
    ("reason", "closed"),
    [("404", "404"), ("419", "4xx"), ("599", "5xx"), ("", ""), ("600", "_OTHER"), ("x", "_OTHER")],
)
def test_a_status_that_nobody_has_registered_counts_by_its_class(reason, closed):
    assert closed == catalogue.close_reason(reason)


@pytest.mark.parametrize("status", [400, 404, 429, 499, 500, 503, 599])
def test_a_status_is_a_reason(status):
    error = status_error(status, "no", retry_after=None, request_id=None)
    assert str(status) == find_reason(error)


@pytest.mark.parametrize("reason", [*sorted(catalogue.REASONS)])
def test_a_reason_of_the_catalogue_is_told(reason):
    assert reason == find_reason(AttemptError("no", reason=Reason(reason)))


@pytest.mark.parametrize("status", [600, 999])
def test_a_status_that_is_none_is_not_told(status):
    assert "_OTHER" == find_reason(HTTPStatusError("no", status=status))


class ForeignError(Exception):
    """An error with a `reason` that is none of ours."""

    def __init__(self, reason):
        self.reason = reason


@pytest.mark.parametrize(
    "reason",
    ["", "no space left on /var/lib", "200", "40", "4\u0660\u0664", "4040", 404, None, ["404"]],
)
def test_any_other_reason_is_not_told(reason):
    assert "_OTHER" == find_reason(ForeignError(reason))


def test_an_error_without_a_reason_has_none():
    assert "_OTHER" == find_reason(ValueError("no"))


def test_names_stand_once_in_the_catalogue():
    names = [metric.name for metric in catalogue.METRICS]
    assert sorted(set(names)) == sorted(names)


def test_every_metric_is_in_the_list():
    found = {value for value in vars(catalogue).values() if isinstance(value, catalogue.Metric)}
    assert set(catalogue.METRICS) == found


def test_only_counters_are_totals():
    assert [] == [
        metric.name
        for metric in catalogue.METRICS
        if (metric.kind == "counter") != metric.name.endswith("_total")
    ]


def test_only_histograms_have_buckets():
    assert [] == [
        metric.name
        for metric in catalogue.METRICS
        if (metric.kind == "histogram") != bool(metric.buckets)
    ]


def test_buckets_rise():
    assert [] == [
        metric.name
        for metric in catalogue.METRICS
        if list(metric.buckets) != sorted(set(metric.buckets))
    ]


def test_each_outcome_has_a_meaning():
    assert typing.get_args(catalogue.Outcome) == tuple(catalogue.OUTCOMES)


def test_each_verdict_has_a_meaning():
    verdicts = typing.get_args(catalogue.VerdictLabel)
    assert (verdicts, verdicts) == (tuple(catalogue.VERDICTS), typing.get_args(Verdict))


def test_every_attribute_is_of_a_span_or_an_event():
    used = {name for span in catalogue.SPAN_TYPES for name, _ in span.attributes}
    assert {one.name for one in catalogue.ATTRIBUTES} == used


@pytest.mark.parametrize("one", catalogue.ATTRIBUTES, ids=lambda one: one.name)
def test_an_attribute_that_is_a_duration_or_a_size_has_a_unit(one):
    measured = one.type == "double" or one.name.endswith(".size")
    assert measured == any(unit in one.description for unit in ("in seconds", "in bytes"))


LEVELS = ("Required", "Conditionally Required: ", "Recommended", "Opt-In")


def test_each_attribute_has_a_requirement_level():
    levels = [level for span in catalogue.SPAN_TYPES for _, level in span.attributes]
    assert [] == [level for level in levels if not level.startswith(LEVELS)]
