"""The parts themselves: what the other tests here rely on."""

import requests
from parts import images


def test_every_glance_shows_every_image(urls, image_ids):
    seen = [
        {name for name, image in image_ids.items() if requests.get(f"{url}/v2/images/{image}").ok}
        for url in urls
    ]
    assert [set(images.RECIPES)] * len(urls) == seen


def test_a_killed_glance_refuses_and_comes_back_on_its_port(breakable):
    victim = breakable[0]
    victim.kill()
    try:
        requests.get(victim.url)
    except requests.ConnectionError:
        refused = True
    victim.restart()
    assert (refused, requests.get(f"{victim.url}/healthcheck").status_code) == (True, 200)


def test_x(keystone, postgres, nova):
    pass
