"""The stage of a scene: three servers, a service over them, and a Keystone or a proxy if needed."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from accusation_witnesses import PLACES, Evidence, Testimony
from keystoneauth1.identity import v3
from recorded_service import DATA, Watched

from traced_image import lab
from traced_image.exporter.journal import Journal
from traced_image.exporter.report import make_report
from traced_image.lab import faults
from traced_image.telemetry.shared_metrics import attach

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from traced_image.lab import GlanceServer, Images


@dataclass
class Stage:
    """What a scene plays with.

    Attributes:
        watched: The service and its witnesses.
        servers: The servers, in the order in which they are tried.
        images: Their images.
        image_id: An image with data.
        journal: What the page shows.
    """

    watched: Watched
    servers: tuple[GlanceServer, ...]
    images: Images
    image_id: str
    journal: Journal

    @property
    def first(self) -> GlanceServer:
        return self.servers[0]

    def break_all(self, fault: lab.Fault) -> None:
        for server in self.servers:
            server.break_with(fault)

    def new_image(self) -> str:
        """The id of an image whose data is yet to come."""
        return self.images.add(disk_format="raw", container_format="bare")


@contextmanager
def stage(
    fields: Mapping[str, object], keystone: lab.Fault | None = None, *, proxy: bool = False
) -> Iterator[Stage]:
    """Set the stage.

    Args:
        fields: Of the configuration.
        keystone: What is wrong with the Keystone of the service's own token; None for no Keystone.
        proxy: Whether the first server is behind a proxy that refuses connections.
    """
    images = lab.Images()
    image_id = images.add(name="cirros", data=DATA)
    with ExitStack() as stack:
        servers = stack.enter_context(lab.cluster(len(PLACES), images=images))
        urls = [server.url for server in servers]
        fields = dict(fields)
        if keystone is not None:
            fields["auth"] = _login(stack, keystone)
        if proxy:
            urls[0] = _hide(stack, servers[0])
        watched = stack.enter_context(Watched(urls, **fields))
        journal = Journal()
        attach(watched.registry, journal)
        yield Stage(watched, servers, images, image_id, journal)


def _login(stack: ExitStack, fault: lab.Fault) -> v3.Password:
    """Credentials at a Keystone with a fault."""
    keystone = stack.enter_context(lab.GlanceServer())
    keystone.break_with(fault)
    return v3.Password(
        auth_url=f"{keystone.url}/v3",
        username="nova",
        password="s3cret",
        user_domain_id="default",
        project_name="service",
        project_domain_id="default",
    )


def _hide(stack: ExitStack, server: lab.GlanceServer) -> str:
    """Put a server behind a proxy that refuses connections; return the server's address."""
    proxy = stack.enter_context(lab.Proxy())
    proxy.break_with(faults.refuse())
    environment = stack.enter_context(pytest.MonkeyPatch.context())
    environment.setenv("no_proxy", "127.0.0.1")
    environment.setenv("http_proxy", proxy.url)
    return server.url.replace(server.host, "localhost")


def question(stage: Stage, caller: str) -> Testimony:
    """Ask all witnesses whom they accuse.

    Args:
        stage: What a scene was played on.
        caller: The type of the error that the caller got; empty for none.
    """
    watched = stage.watched
    failed = [host.server.netloc for host in watched.health if host.last_failure]
    report = make_report(stage.journal.hour())
    evidence = Evidence(
        watched.netlocs, watched.spans, watched.registry, watched.records, failed, report
    )
    return evidence.ask(caller)
