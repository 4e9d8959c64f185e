"""The same requests by opentelemetry-instrumentation-requests and by the wire layer, as JSON."""

from __future__ import annotations

import http.client
import json
import re
import sys
from contextlib import suppress
from types import SimpleNamespace
from urllib.parse import urlsplit

import requests
from opentelemetry import baggage
from opentelemetry.context import attach, detach, get_current
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.trace import NoOpTracerProvider
from watching import Trace

from traced_image import lab
from traced_image.lab import faults
from traced_image.telemetry.metrics import Metrics
from traced_image.telemetry.recorder import Recorder
from traced_image.telemetry.spans import Spans
from traced_image.telemetry.telemetry_errors import TelemetryErrors
from traced_image.telemetry.wire_spans import make_wire_layer

AGENT = {"User-Agent": "traced-image", "Accept": "*/*"}
BINARY = {"Content-Type": "application/octet-stream"}
JSON = {"Content-Type": "application/json"}
ID = "8f3c1a52-0000-4000-8000-000000000001"
RECORD = b'{"name": "new", "disk_format": "raw", "container_format": "bare"}'


def list_cases(url, closed, images):
    """Each case: the requests that it takes, which are several only if the first is redirected."""
    show = f"{url}/v2/images/{ID}"
    return {
        "200": [("GET", show, None)],
        "404": [("GET", f"{url}/v2/images/absent", None)],
        "503": [("GET", show, None)],
        "refused": [("GET", f"{closed}/v2/images", None)],
        "post": [("POST", f"{url}/v2/images", RECORD)],
        "upload": [("PUT", f"{url}/v2/images/{images.add(status='queued')}/file", b"0123456789")],
        "default port": [("GET", f"http://glance.example/v2/images/{ID}", None)],
        "secret": [("GET", f"{url}/v2/images?X-Amz-Signature=hunter2&limit=1", None)],
        "password": [("GET", f"{url.replace('://', '://me:hunter2@')}/v2/images", None)],
        "redirect": [("GET", show, None), ("GET", show, None)],
    }


FAULTS = {
    "503": faults.status(503),
    "redirect": faults.redirect_loop().times(1),
}


def list_headers(method):
    return {**AGENT, **{"POST": JSON, "PUT": BINARY}.get(method, {})}


class Adapter(requests.adapters.HTTPAdapter):
    """Sends what is for glance.example to the lab's server, and notes the headers."""

    def __init__(self, url):
        super().__init__()
        self.told = []
        self._url = url

    def get_connection_with_tls_context(self, request, verify, proxies=None, cert=None):
        url = request.url.replace("http://glance.example", self._url)
        return self.poolmanager.connection_from_url(url)

    def send(self, request, **options):
        self.told.append(dict(request.headers))
        return super().send(request, **options)


class Exchange:
    """One request on a connection of its own."""

    def __init__(self, url):
        self.peer = None
        self.told = []
        self._url = url

    def send(self, prepared):
        self.told.append(dict(prepared.headers))
        asked, place = urlsplit(prepared.url), urlsplit(self._url)
        if asked.hostname != "glance.example":
            place = asked
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=10)
        connection.connect()
        self.peer = connection.sock.getpeername()[:2]
        target = f"{asked.path}?{asked.query}" if asked.query else asked.path
        connection.request(prepared.method, target, prepared.body, prepared.headers)
        reply = connection.getresponse()
        reply.read()
        connection.close()
        return SimpleNamespace(status=reply.status, version={11: "1.1", 10: "1.0"}[reply.version])


def send_by_contrib(trace, url, case):
    """Send a case's requests by an instrumented session, which follows redirects itself."""
    instrumentor = RequestsInstrumentor()
    instrumentor.instrument(tracer_provider=trace.provider)
    adapter = Adapter(url)
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", adapter)
        method, address, body = case[0]
        with suppress(requests.ConnectionError):
            session.request(method, address, data=body, headers=list_headers(method), timeout=10)
    instrumentor.uninstrument()
    return adapter.told


def send_by_layer(trace, url, case):
    """Send a case's requests by the wire layer, one by one."""
    layer = make_wire_layer(trace.provider, None, TelemetryErrors(sys.exit))
    send = layer(lambda exchange, prepared: exchange.send(prepared))
    told = []
    # How often a request was sent is counted in a call, whose own spans are none here.
    recorder = Recorder(Spans(NoOpTracerProvider(), wire_spans=True), Metrics(()))
    current = get_current()
    with recorder.call("images.get") as call, call.attempt(url):
        token = attach(current)
        for method, address, body in case:
            prepared = requests.PreparedRequest()
            prepared.method, prepared.url, prepared.body = method, address, body
            prepared.headers = list_headers(method)
            exchange = Exchange(url)
            with suppress(ConnectionError):
                send(exchange, prepared)
            told += exchange.told
        detach(token)
    return told


def run(send, server, case):
    """Send a case's requests below a span, with baggage; return what became of both."""
    trace = Trace()
    with trace.provider.get_tracer("application").start_as_current_span("parent") as parent:
        token = attach(baggage.set_baggage("tenant", "demo"))
        told = send(trace, server.url, case)
        detach(token)
    spans = [describe(span) for span in trace.spans if span.name != "parent"]
    ids = {f"{parent.context.trace_id:032x}": "TRACE"}
    for span in trace.spans:
        ids[f"{span.context.span_id:016x}"] = span.name
    parents = {span.parent.span_id == parent.context.span_id for span in trace.below(parent)}
    return {
        "spans": spans,
        "below": parents == {True},
        "told": [
            {name: hide(value, ids) for name, value in headers.items() if name not in KNOWN}
            for headers in told
        ],
    }


KNOWN = {*AGENT, *JSON, "Accept-Encoding", "Connection", "Content-Length", "Authorization"}


def hide(text, ids):
    return re.sub(r"[0-9a-f]{16,}", lambda found: ids.get(found[0], "UNKNOWN"), text)


def describe(span):
    return {
        "name": span.name,
        "kind": span.kind.name,
        "status": [span.status.status_code.name, span.status.description],
        "attributes": dict(span.attributes),
        "events": len(span.events),
        "scope": span.instrumentation_scope.name,
        "schema": span.instrumentation_scope.schema_url,
    }


def main(host):
    """Print what became of each case, with the server's port."""
    found = {}
    ways = {"contrib": send_by_contrib, "ours": send_by_layer}
    closed = lab.GlanceServer(lab.Images(), host=host)
    closed.start()
    closed_url, closed_port = closed.url, closed.port
    closed.stop()
    for way, send in ways.items():
        images = lab.Images()
        images.add(id=ID)
        with lab.GlanceServer(images, host=host) as server:
            for name, case in list_cases(server.url, closed_url, images).items():
                if name in FAULTS:
                    server.break_with(FAULTS[name])
                ports = {f"{server.port}": "PORT", f"{closed_port}": "CLOSED"}
                found.setdefault(name, {})[way] = name_ports(run(send, server, case), ports)
                server.heal()
    sys.stdout.write(json.dumps(found))


def name_ports(found, ports):
    """Put names in the places of ports, and of ids of images, which differ."""
    text = json.dumps(found)
    for port, name in ports.items():
        text = text.replace(f": {port}", f': "{name}"').replace(f":{port}/", f":{name}/")
    return json.loads(re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", text))


if __name__ == "__main__":
    main(*sys.argv[1:])
