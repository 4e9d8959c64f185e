"""The parts themselves: what the other tests here rely on."""

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import requests
from parts import images
from parts.http import HTTPPart, listen
from parts.process import PartFailedError
from sqlalchemy import create_engine, text

LIMIT = 10.0  # seconds for what should take milliseconds

_ORPHANING = """
import os, pathlib, signal, sys, time
from parts.process import Process
log = pathlib.Path(sys.argv[1]) / "log"
sleeper = Process("sleeper", ["sh", "-c", "echo up; exec sleep 60"], log)
sleeper.start()
while not log.read_text():
    time.sleep(0.01)
print(sleeper.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_every_glance_shows_every_image(urls, image_ids):
    seen = [
        {name for name, image in image_ids.items() if requests.get(f"{url}/v2/images/{image}").ok}
        for url in urls
    ]
    assert [set(images.RECIPES)] * len(urls) == seen


def test_a_killed_glance_refuses(breakable):
    breakable[0].kill()
    with pytest.raises(requests.ConnectionError, match="refused"):
        requests.get(breakable[0].url)


def test_a_stopped_glance_accepts_and_does_not_answer(breakable):
    breakable[0].stop()
    with pytest.raises(requests.ReadTimeout):
        requests.get(breakable[0].url, timeout=(LIMIT, 0.2))


def test_a_restarted_glance_is_on_its_port_again(breakable):
    breakable[0].restart()
    assert requests.get(f"{breakable[0].url}/healthcheck").ok


def test_a_part_does_not_outlive_a_killed_starter(tmp_path):
    starter = subprocess.run(
        [sys.executable, "-c", _ORPHANING, str(tmp_path)],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        check=False,
    )
    assert _comes_true(lambda: not _runs(int(starter.stdout)))


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_part_that_can_not_start_shows_its_log(tmp_path):
    log = tmp_path / "log"
    broken = HTTPPart("broken", Path(sys.prefix), "no_such:application", listen(), log, env={})
    with closing(broken):
        broken.launch()
        with pytest.raises(PartFailedError) as raised:
            broken.wait()
    assert "No module named" in str(raised.value)


def test_a_token_that_is_revoked_is_refused_at_once(keystone):
    token = keystone.token("reader")
    before = keystone.takes(token)
    keystone.revoke(token)
    assert [before, keystone.takes(token)] == [True, False]


def test_a_short_token_expires(keystone):
    token = keystone.token_for("reader", seconds=5)
    before = keystone.takes(token)
    assert [before, _comes_true(lambda: not keystone.takes(token))] == [True, True]


def _comes_true(condition):
    end = time.monotonic() + LIMIT
    while not (reached := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return reached


def test_postgresql_answers(postgres):
    engine = create_engine(postgres.url())
    with engine.connect() as connection:
        version = connection.execute(text("SELECT version()")).scalar_one()
    engine.dispose()
    assert version.startswith("PostgreSQL")


def test_nova_shows_every_image_by_its_id(nova, urls, image_ids):
    shown = {name: nova.call(urls, "show", image)[1]["id"][1] for name, image in image_ids.items()}
    assert image_ids == shown
