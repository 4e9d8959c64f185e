"""Scenes that a file of rule tests can't have: of 1,000 processes, and by rules with options."""

import json
import subprocess
from collections.abc import Callable, Mapping

import pytest
import yaml
from click.testing import CliRunner
from parts import prometheus
from parts.cache import PartUnavailableError

from traced_image.cli.dashboards import dashboards

OPTIONS = (
    *("--process-label", "hostname", "--process-label", "pod_template_hash"),
    *("--process-label", "shard", "--collector-job", "glance/.+"),
)
Fired = Callable[..., Mapping[str, int]]


def gave_up(job: str, label: str, value: str, in_5_minutes: float) -> dict[str, str]:
    """The calls that a process, or a shard of processes, gave up."""
    labels = f'job="{job}", instance="{value}", {label}="{value}", server_address="10.0.0.2"'
    rest = 'operation="images.get", server_port="9292", error_type="503"'
    series = f"glance_client_connection_failed_total{{{labels}, {rest}}}"
    return {"series": series, "values": f"0+{in_5_minutes / 10:g}x40"}


def lost(job: str) -> dict[str, str]:
    """The spans that a collector loses."""
    series = f'otelcol_exporter_send_failed_spans{{job="{job}", instance="g:8888", exporter="x"}}'
    return {"series": series, "values": "0+100x40"}


def scraped(hash_: str, values: str) -> list[dict[str, str]]:
    """A target of a Deployment, whose pods have a hash of their template."""
    labels = f'job="pods", instance="{hash_}", pod_template_hash="{hash_}"'
    names = (f"up{{{labels}}}", f'traced_image_build_info{{{labels}, version="1"}}')
    return [{"series": name, "values": values} for name in names]


SHORT = [
    *(gave_up("hosts", "hostname", f"compute-{number}", 10) for number in range(3)),
    *(gave_up("shards", "shard", f"{number}", 2) for number in range(4)),
    *(lost("glance/otelcol"), lost("shop/otelcol")),
    {"series": 'traced_image_build_info{job="hosts", version="1"}', "values": "1x40"},
]
"""What lasts for 20 minutes, in steps of 30 seconds."""

LONG = [*scraped("old", "1x48 stale"), *scraped("new", "_x48 1x60")]
"""A rollout after 4 hours, in steps of 5 minutes."""


@pytest.fixture(scope="module")
def fired(request, tmp_path_factory) -> Fired:
    """Count the alerts that fire at a scene's end, by a label; the rules may have options."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    try:
        programs = prometheus.install(lambda line: terminal.write_line(f"real parts: {line}"))
    except PartUnavailableError as error:
        pytest.skip(str(error))

    def play(
        series: list[dict[str, str]], step: str, end: str, *options: str, by: str = "job"
    ) -> dict[str, int]:
        folder = tmp_path_factory.mktemp("rules")
        written = CliRunner().invoke(dashboards, ["--out", str(folder), *options])
        assert 0 == written.exit_code, written.output
        files = [folder / f"rules/{name}.yaml" for name in ("objective", "recording", "alerts")]
        groups = [group for each in files for group in yaml.safe_load(each.read_text())["groups"]]
        asked = {
            "expr": f'count by ({by}) (ALERTS{{alertstate="firing", severity!="none"}})',
            "eval_time": end,
            # No result is this one, so that promtool says what the result is.
            "exp_samples": [{"labels": "{}", "value": -1}],
        }
        told = {
            "rule_files": [str(each) for each in files],
            "evaluation_interval": step,
            "group_eval_order": [group["name"] for group in groups],
            "tests": [{"interval": step, "input_series": series, "promql_expr_test": [asked]}],
        }
        file = folder / "test.yaml"
        file.write_text(json.dumps(told))
        command = [programs.promtool, "test", "rules", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return _read(done.stdout + done.stderr)

    return play


def _read(said: str) -> dict[str, int]:
    """Read what promtool got, such as ``{job="api"} 1E+00, {job="b"} 2E+00``."""
    got = said.partition("got: ")[2].partition("\n")[0]
    if got == "nil":
        return {}
    pairs = (each.rpartition(" ") for each in got.split(", "))
    return {labels.partition('"')[2].rpartition('"')[0]: int(float(n)) for labels, _, n in pairs}


def test_without_options_each_value_of_a_label_has_its_alert_and_each_shard_too_few_failures(fired):
    expected = {"hosts": 3, "glance/otelcol": 1, "shop/otelcol": 1}
    assert expected == fired(SHORT, "30s", "20m")


def test_with_options_a_job_has_one_alert_shards_count_together_and_other_collectors_do_not(fired):
    expected = {"hosts": 1, "shards": 1, "glance/otelcol": 1}
    assert expected == fired(SHORT, "30s", "20m", *OPTIONS)


@pytest.mark.parametrize(("options", "expected"), [((), {"pods": 1}), (OPTIONS, {})])
def test_a_rollout_is_no_lost_job_if_the_label_of_its_pods_is_named(fired, options, expected):
    assert expected == fired(LONG, "5m", "8h", *options)


def test_one_process_of_a_thousand_is_named_within_10_minutes_of_its_second_failed_call(fired):
    server = 'server_address="10.0.0.1", server_port="9292"'
    times = 'glance_client_server_last_{}_timestamp_seconds{{job="compute", instance="{}", {}}}'

    def seen(what: str, process: str, values: str) -> dict[str, str]:
        return {"series": times.format(what, process, server), "values": values}

    well = [f"c{number}" for number in range(1, 1000)]
    calls = 'glance_client_call_duration_seconds_count{job="compute", instance="c0", '
    series = [
        *(seen("success", process, "0+300x8") for process in well),
        *(seen("failure", process, "0x8") for process in well),
        seen("success", "c0", "1x8"),
        # It calls at 10 and at 30 minutes.
        seen("failure", "c0", "0x1 600x3 1800x2"),
        {
            "series": calls + 'operation="images.get", outcome="exhausted", error_type="503"}',
            "values": "_x2 1x3 2x2",
        },
        {"series": 'traced_image_build_info{job="compute", instance="c1"}', "values": "1x8"},
    ]
    assert {"c0": 1} == fired(series, "5m", "40m", by="instance")
