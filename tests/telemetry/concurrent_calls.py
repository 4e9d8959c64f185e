"""Makes calls at the same time, in one of several ways, and tells of their spans.

`main` is for a program of its own, whose threads are patched before this is imported.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import get_current_span
from prometheus_client import CollectorRegistry

import traced_image
from traced_image import RetryPolicy, Telemetry
from traced_image.telemetry.recorder import CURRENT

CALLS = 6
FEW = 3  # threads or greenlets of a pool: each makes calls one after the other


def threads(jobs):
    results = [None] * len(jobs)

    def work(number):
        results[number] = jobs[number]()

    started = [threading.Thread(target=work, args=(number,)) for number in range(len(jobs))]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return results


def futures(jobs):
    with ThreadPoolExecutor(FEW) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]


def to_thread(jobs):
    async def together():
        return await asyncio.gather(*(asyncio.to_thread(job) for job in jobs))

    return asyncio.run(together())


def gevent_spawn(jobs):
    import gevent

    return [greenlet.get() for greenlet in [gevent.spawn(job) for job in jobs]]


def gevent_pool(jobs):
    from gevent.pool import Pool

    pool = Pool(FEW)
    return [greenlet.get() for greenlet in [pool.spawn(job) for job in jobs]]


def eventlet_spawn(jobs):
    import eventlet

    return [thread.wait() for thread in [eventlet.spawn(job) for job in jobs]]


def eventlet_pool(jobs):
    import eventlet

    pool = eventlet.GreenPool(FEW)
    return [thread.wait() for thread in [pool.spawn(job) for job in jobs]]


def eventlet_tpool(jobs):
    """One after the other, in threads of their own.

    eventlet's locks are for greenthreads of one thread: those of a library, and of `logging`,
    fail where two of its threads want the same one.
    """
    from eventlet import tpool

    return [tpool.execute(job) for job in jobs]


WAYS = (
    *(threads, futures, to_thread),
    *(gevent_spawn, gevent_pool),
    *(eventlet_spawn, eventlet_pool, eventlet_tpool),
)
MODES = {
    "bare": "the application has no span",
    "inside": "the application has a span, and starts the calls in it",
    "carried": "the same, and it has them take their context along",
    "own": "each call is inside a span of its own",
}


class Application:
    """Calls that share a service, and the spans that ended since `spans` was last called."""

    def __init__(self, image_id, urls):
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._tracer = provider.get_tracer("application")
        self._image_id = image_id
        self._service = traced_image.connect(
            servers=urls,
            retry=RetryPolicy(backoff_base=0.0, cooldown_base=0.0, budget_share=None),
            telemetry=Telemetry(tracer_provider=provider, registry=CollectorRegistry()),
        )

    def run(self, mode, way):
        """Make calls; return for each what was current before it and after it."""
        if mode == "bare":
            return way([self.show] * CALLS)
        if mode == "own":
            return way([partial(self.inside, f"job {number}") for number in range(CALLS)])
        with self._tracer.start_as_current_span("application"):
            jobs = [self.show] * CALLS
            if mode == "carried":
                jobs = [partial(contextvars.copy_context().run, job) for job in jobs]
            return way(jobs)

    def inside(self, name):
        with self._tracer.start_as_current_span(name):
            return self.show()

    def show(self):
        before = current()
        self._service.show(None, self._image_id)
        return before, current()

    def spans(self):
        ended = self._exporter.get_finished_spans()
        self._exporter.clear()
        return [
            {
                "name": span.name,
                "trace": span.context.trace_id,
                "id": span.context.span_id,
                "parent": span.parent and span.parent.span_id,
                "port": span.attributes.get("server.port"),
                "number": span.attributes.get("glance.attempt.number"),
                "attempts": span.attributes.get("glance.call.attempts"),
                "started": span.start_time,
                "ended": span.end_time,
            }
            for span in sorted(ended, key=lambda span: span.start_time)
        ]


def current():
    """The id of the span that is current, and whether a call is."""
    return get_current_span().get_span_context().span_id, CURRENT.get(None) is not None


def main(name, image_id, *urls):
    """Print, as JSON, the spans of each of `MODES`, and what was current before and after calls."""
    logging.getLogger("traced_image").addHandler(logging.NullHandler())
    (way,) = (way for way in WAYS if way.__name__ == name)
    application = Application(image_id, urls)
    told = {}
    for mode in MODES:
        left = application.run(mode, way)
        told[mode] = {"left": left, "spans": application.spans()}
    sys.stdout.write(json.dumps(told))
