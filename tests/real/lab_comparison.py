"""The same requests to a real Glance and to the lab, and the list of where they may differ."""

import http.server
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from lab_player import Player, Reply
from lab_requests import GUARDED, OPEN, USERS, requests_of
from parts import glance
from parts.cloud import Cloud

from traced_image import lab

LIST = Path(__file__).parents[2] / "docs/reference/lab-differences.json"

_TRIALS = 3

Replies = Mapping[str, Reply]
Players = Mapping[str, Player]
"""Who asks each family of requests."""


def listed() -> list[str]:
    """The labels of the requests that the list names."""
    kinds = json.loads(LIST.read_text("utf-8"))
    return [label for kind in kinds for label in kind["requests"]]


@contextmanager
def web() -> Iterator[str]:
    """Serve the bytes that images are imported from; gives the address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Web) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path in ("/data", "/more")
        body = b"0123456789" if found else b"gone"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - what http.server looks for

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def glances(open_url: str, guarded_url: str, cloud: Cloud, web_url: str) -> Players:
    """Two real Glances, to be asked."""
    known = {**projects(cloud), "web_url": web_url, "store": glance.STORES[0]}
    tokens = {user: cloud.token(user) for user in USERS}
    plain, guarded = Player(open_url, known=known), Player(guarded_url, tokens, known)
    return {**dict.fromkeys(OPEN, plain), **dict.fromkeys(GUARDED, guarded)}


def ask(players: Players) -> dict[str, Reply]:
    """The replies of two real Glances, which are asked at the same time."""
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(_play, players, families) for families in (OPEN, GUARDED)]
        return {label: reply for one in both for label, reply in one.result().items()}


def ask_again(players: Players, real: Replies, mine: Replies) -> Replies:
    """Glance's replies, with those of each family anew that has a difference beside the list.

    Its SQLite is locked now and then, while a task of its own writes: it answers 500 then, or never
    starts the task. What is a difference is there again.
    """
    known = listed()
    settled = dict(real)
    for _ in range(_TRIALS):
        for family, player in players.items():
            labels = [label for label, _ in requests_of(family)]
            if any(settled[one] != mine[one] and one not in known for one in labels):
                settled |= player.play(family)
    return settled


def ask_lab(cloud: Cloud, web_url: str) -> Replies:
    """The replies of two lab servers that are set up as the Glances."""
    known = {**projects(cloud), "web_url": web_url, "store": "fs"}
    limits = lab.Limits(properties=glance.PROPERTY_QUOTA, size=glance.SIZE_CAP)
    identities = {user: _identity(cloud, user) for user in USERS}
    plain = lab.GlanceServer(lab.Images(show_locations=True, limits=limits))
    guarded = lab.GlanceServer(lab.Images(limits=limits), tokens=identities)
    with plain, guarded:
        first = Player(plain.url, known=known)
        second = Player(guarded.url, {user: user for user in USERS}, known)
        players = {**dict.fromkeys(OPEN, first), **dict.fromkeys(GUARDED, second)}
        return _play(players, players)


def _play(players: Players, families: Iterable[str]) -> dict[str, Reply]:
    return {label: reply for one in families for label, reply in players[one].play(one).items()}


def describe(real: Reply, mine: Reply) -> dict[str, object]:
    """What differs between Glance's reply and the lab's, each as a pair."""
    body = (real.body, mine.body)
    if isinstance(real.body, dict) and isinstance(mine.body, dict):
        keys = real.body.keys() | mine.body.keys()
        pairs = {key: (real.body.get(key), mine.body.get(key)) for key in keys}
        body = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
    parts = {
        "status": (real.status, mine.status),
        "headers": (real.headers, mine.headers),
        "body": body,
    }
    return {
        name: pair for name, pair in parts.items() if getattr(real, name) != getattr(mine, name)
    }


def projects(cloud: Cloud) -> dict[str, str]:
    """The id of each user's project."""
    sessions = {user: cloud.session(cloud.auth(user)) for user in USERS}
    return {f"{user}_project": one.get_project_id() or "" for user, one in sessions.items()}


def _identity(cloud: Cloud, user: str) -> lab.Identity:
    session = cloud.session(cloud.auth(user))
    access = session.auth.get_access(session)
    return lab.Identity(access.project_id, access.user_id, tuple(access.role_names))
