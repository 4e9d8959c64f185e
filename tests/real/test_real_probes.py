"""Probes of a real Glance: what it answers to a wrong prefix, image or token."""

import asyncio

import pytest

from traced_image import Config
from traced_image.exporter.probing.probe import Probe
from traced_image.exporter.probing.schedule import probe_once

MISSING = "84efd1f0-5f0f-4a67-8e4d-2f8a2f7b9c31"


def probed(url, image=None):
    """The result of one probe."""
    (result,) = asyncio.run(probe_once(Probe(Config(servers=[url]), image=image)))
    return result


def test_glance_answers_its_versions_with_200(urls):
    result = probed(urls[0])
    assert ("", 200) == (result.reason, result.status)


@pytest.mark.parametrize("prefix", ["/image", "/image/more"])
def test_a_prefix_that_glance_does_not_have_is_what_is_wrong(urls, prefix):
    result = probed(urls[0] + prefix)
    assert (300, "prefix", False) == (result.status, result.misconfigured, result.failed)


def test_an_image_that_glance_does_not_have_is_what_is_wrong(urls):
    result = probed(urls[0], MISSING)
    assert ("404", "image", False) == (result.reason, result.misconfigured, result.failed)


def test_glance_that_wants_a_token_does_not_get_one(keystone):
    url = keystone.glance.url
    assert ("", "credentials") == (probed(url).reason, probed(url, MISSING).misconfigured)
