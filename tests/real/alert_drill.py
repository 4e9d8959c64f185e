"""Breaks embedded servers under the rules as they are, and notes which alert comes when.

``PYTHONPATH=dashboards/src python tests/real/alert_drill.py FILE`` takes 39 minutes, mostly idle.
What ``docs/explanation/alerts-seen.md`` says to have been seen is from what it wrote to its file.
"""

import json
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TextIO

import trustme
from alert_scene import ROUTES, caller, settings
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from parts import alertmanager, http, prometheus
from parts.process import Process
from traced_image_dashboards.promql import SERVER
from traced_image_dashboards.recording import ALL_CALLS, RETRIES, SHORT_ATTEMPTS, SLOW_ATTEMPTS

from traced_image import lab
from traced_image.lab import faults
from traced_image.telemetry import metrics

LEAD, BROKEN, HEALED = 330, 24 * 60, 9 * 60
TRACED_IMAGE = str(Path(sys.executable).with_name("traced-image"))


@contextmanager
def _most_servers(count: int) -> Iterator[None]:
    """Have so many servers be told apart."""
    before, metrics.MOST_SERVERS = metrics.MOST_SERVERS, count
    try:
        yield
    finally:
        metrics.MOST_SERVERS = before


class _Sick(SpanProcessor):
    """Raises once it is told to."""

    sick = False

    def on_end(self, span: object) -> None:
        if self.sick:
            raise RuntimeError("the spans' exporter is broken")


class Drill:
    """Servers and their callers, each job with a fault of its own.

    Args:
        stack: What closes all of it.
        folder: Where logs and data are.
    """

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.jobs: dict[str, int] = {}
        self.urls: dict[str, list[str]] = {}
        self.faults: list[tuple[lab.GlanceServer, lab.Fault]] = []
        self.sick = _Sick()
        self.gone = ExitStack()
        stack.enter_context(self.gone)

    def job(self, name, count, broken, call=None, stack=None, **options) -> None:
        """A job that calls servers of its own.

        Args:
            name: Its name.
            count: How many servers it has.
            broken: The faults to come, by the server's place.
            call: What it calls; an image's record without it.
            stack: What ends it.
            **options: As for `caller`.
        """
        servers = self.stack.enter_context(lab.cluster(count))
        image_id = servers[0].images.add(name="cirros", data=b"." * 4096, visibility="public")
        self.urls[name] = [server.url for server in servers]
        self.faults += [(servers[place], fault) for place, fault in broken.items()]

        def show(service):
            return service.show(None, image_id)

        def download(service):
            return b"".join(service.download(None, image_id))

        call = {None: show, "download": download}[call]
        self.jobs[name] = (stack or self.stack).enter_context(
            caller(self.urls[name], call, **options)
        )

    def cast(self) -> None:
        """Start all of them."""
        self.job("one-of-three", 3, {1: faults.refuse()})
        self.job("all", 2, {0: faults.refuse(), 1: faults.refuse()}, pause=0.5)
        some = faults.flapping(faults.status(502), None, None, None, None)
        self.job("outlier", 3, {1: some})
        often = faults.flapping(faults.status(503), None)
        self.job("masked", 3, dict.fromkeys(range(3), often))
        self.job("slow", 2, {1: faults.slow_headers(0.05)}, pause=0.5)
        self.job("streams", 2, {1: faults.cut_body().only(path="/file$")}, "download", pause=1.0)
        provider = TracerProvider()
        provider.add_span_processor(self.sick)
        self.job("sick", 1, {}, pause=2.0, tracer_provider=provider)
        self.job("absent", 1, {}, pause=2.0, stack=self.gone)
        with _most_servers(1):
            self.job("overflow", 2, {})
        self.exporter()

    def exporter(self) -> None:
        """An exporter, which probes a server that will refuse and one whose image will break."""
        tls = lab.TLS.trusted()
        authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.cert_pem.write_to_path(tls.cafile)
        soon = datetime.now(timezone.utc) + timedelta(days=5)
        authority.issue_cert("127.0.0.1", not_after=soon).configure_cert(context)
        tls.known = context
        servers = self.stack.enter_context(lab.cluster(3))
        image_id = servers[0].images.add(name="cirros", data=b"." * 4096, visibility="public")
        secure = lab.GlanceServer(servers[0].images, tls=tls)
        servers = (*servers, self.stack.enter_context(secure))
        self.faults += [
            (servers[1], faults.refuse()),
            (servers[2], faults.status(500).only(path="/file$")),
        ]
        self.urls["exporter"] = [server.url for server in servers]
        with http.listen() as listener:
            self.jobs["exporter"] = port = http.port_of(listener)
        self.web = self.folder / "web.yml"
        self.web.write_text("http_server_config: {}\n")
        command = [TRACED_IMAGE, "exporter", "--listen", f"127.0.0.1:{port}", "--image", image_id]
        command += ["--cafile", tls.cafile, "--web.config.file", str(self.web)]
        command += [word for url in self.urls["exporter"] for word in ("--server", url)]
        process = Process("exporter", command, self.folder / "exporter.log")
        self.stack.callback(process.close)
        process.start()
        self.cafile = tls.cafile

    def break_all(self) -> None:
        """Have each job's fault from now on."""
        for server, fault in self.faults:
            server.break_with(fault)
        self.sick.sick = True
        self.web.write_text("basic_auth_users: 3\n")
        self.gone.close()

    def heal_all(self) -> None:
        """Take the faults away, but for what is gone."""
        for server, _ in self.faults:
            server.heal()
        self.sick.sick = False
        self.web.write_text("http_server_config: {}\n")

    def asked(self, job) -> str:
        """What ``traced-image servers`` says of a job's servers."""
        command = [TRACED_IMAGE, "servers", "--cafile", self.cafile]
        command += [word for url in self.urls[job] for word in ("--server", url)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return f"{done.stdout}{done.stderr}exit status {done.returncode}"


QUERIES = (
    "job:glance_client_call_errors:ratio_rate5m",
    "job:glance_client_call_errors:ratio_rate1h",
    "job_server:glance_client_attempt_errors:ratio_rate5m",
    "job_server:glance_client_attempt_failures:rate5m * 300 > 0",
    "job_server:glance_client_connection_failed:rate5m * 300 > 0",
    "job_server:glance_client_server_state:sum == 1",
    "time() - job_server:glance_client_server_last_success_timestamp_seconds:max",
    "job_server:glance_client_server_consecutive_failures:max > 0",
    f"sum without ({SERVER}, error_type) ({RETRIES.record}) / {ALL_CALLS.record}",
    f"{SLOW_ATTEMPTS.record} / {SHORT_ATTEMPTS.record}",
    "job_server:glance_client_stream_errors:rate5m * 300 > 0",
    "glance_probe_failure_info",
    "glance_probe_canary_success",
    "glance_probe_tls_certificate_expiry_timestamp_seconds - time()",
    "traced_image_exporter_config_last_reload_successful",
    "increase(traced_image_telemetry_errors_total[15m]) > 0",
    'job_server:glance_client_attempts:rate5m{server_address="_OTHER"}',
    "up == 0",
)


def main(out: Path) -> None:
    """Play it, and write what was seen to a file."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        drill = Drill(stack, folder)
        drill.cast()
        hook = stack.enter_context(alertmanager.webhook())
        # The times of Alertmanager's own documentation.
        routes = ROUTES.format(url=hook.url, wait="30s")
        program = alertmanager.install(print)
        address = stack.enter_context(alertmanager.alertmanager(program, folder / "am", routes))
        programs = prometheus.install(print)
        server = stack.enter_context(
            prometheus.prometheus(programs, folder / "prom", settings(drill.jobs, address))
        )
        file = stack.enter_context(out.open("w", buffering=1))
        play(drill, server, Notes(file, hook))


def play(drill: Drill, server: prometheus.Prometheus, notes: "Notes") -> None:
    """Break, look, heal."""
    notes.say(f"servers {json.dumps(drill.urls)}")
    notes.listen(LEAD)
    drill.break_all()
    notes.begin("broken")
    for _ in range(2):
        notes.listen(BROKEN / 2)
        notes.look(drill, server)
    drill.heal_all()
    notes.begin("healed")
    notes.listen(HEALED)


class Notes:
    """What is written down.

    Args:
        file: Where to, line by line.
        hook: Whose notices are.
    """

    def __init__(self, file: TextIO, hook: alertmanager.Webhook) -> None:
        self._file = file
        self._hook = hook
        self._began = time.time()

    def say(self, line: str) -> None:
        """Write a line."""
        self._file.write(f"{line}\n")

    def begin(self, what: str) -> None:
        """Count the seconds from now on."""
        self._began = time.time()
        self.say(f"--- {what}")

    def listen(self, seconds: float) -> None:
        """Write down what the webhook is sent for so long."""
        end = time.time() + seconds
        while self._hook.collect(end - time.time()):
            notice = self._hook.notices.pop()
            after = notice.when - self._began
            labels = json.dumps(notice.alert["labels"])
            self.say(f"{after:7.0f} s {notice.route} {notice.alert['status']} {labels}")
            self.say(f"          {notice.alert['annotations']['description']}")

    def look(self, drill: Drill, server: prometheus.Prometheus) -> None:
        """Ask what the runbooks ask."""
        self.ask(server, QUERIES)
        for job in drill.urls:
            self.say(f"$ traced-image servers # {job}\n{drill.asked(job)}")

    def ask(self, server: prometheus.Prometheus, queries: Iterable[str]) -> None:
        """Write down what queries find."""
        self.say(f"--- asked {time.time() - self._began:.0f} s after that")
        for query in queries:
            self.say(f"? {query}")
            for found in server.query(query):
                labels = {key: it for key, it in found["metric"].items() if key != "__name__"}
                self.say(f"    {json.dumps(labels)} {float(found['value'][1]):.4g}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
