"""Servers that answer each request as Glance does, then mutate the reply: over http or TLS."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import threading
import time
import uuid
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

from mutations import Plan, Sources, mutate

from traced_image import lab
from traced_image.lab.app import REQUEST_ID, App
from traced_image.lab.connection import reset_on_close
from traced_image.lab.http1 import BYTES, Malformed, ReceivedRequest, read_body, read_head
from traced_image.lab.image import Member

LONGEST = 9.0
"""Seconds for which a server hangs or drips at most, if the client stays."""

FLOOD = 24 * 2**20
"""Bytes of a flood at most."""

_NUMBER = re.compile(r"op([0-9]{6})x")

TOKEN = "token-of-the-fuzzer"


def make_marker(number: int) -> str:
    """A text that names an operation, and that no change of a byte turns into another's."""
    return f"op{number:06d}x{zlib.crc32(b'%d' % number):08x}"


def find_others(text: str, marker: str) -> list[str]:
    """The markers of other operations within a text."""
    found = (make_marker(int(number)) for number in _NUMBER.findall(text))
    # What a flipped byte makes of a marker is none.
    return [other for other in found if other != marker and other in text]


@dataclass
class Sent:
    """One reply that a server has sent or tried to send."""

    request: str
    plan: Plan
    wire: bytes

    def __str__(self) -> str:
        shown = (
            self.wire if len(self.wire) < 3000 else self.wire[:1500] + b" ... " + self.wire[-800:]
        )
        how = f"pieces={self.plan.pieces} drips={self.plan.drips} early={self.plan.early}"
        flood = f" then again and again {self.plan.flood[:40]!r}" if self.plan.flood else ""
        return (
            f"  {self.request}: {self.plan.names} {how} end={self.plan.end}\n    {shown!r}{flood}"
        )


@dataclass
class Scene:
    """One operation as the servers see it: its images, its random source, what was sent for it."""

    seed: int
    number: int
    images: lab.Images = field(default_factory=lambda: lab.Images(show_locations=True))
    sent: list[Sent] = field(default_factory=list)
    healthy: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.rng = random.Random(f"{self.seed}:{self.number}")
        self.marker = make_marker(self.number)
        size = self.rng.choice((10, 3000, 3000, 100_000))
        self.data = (self.marker.encode() + self.rng.randbytes(size))[:size]
        formats = {"disk_format": "raw", "container_format": "bare", "marker": self.marker}
        self.shared = self._add("shared", visibility="shared", **formats)
        self.queued = self._add("queued", **formats)
        self.decoy = self._add("decoy", data=b"decoy " * 50, **formats)
        self.target = self._add("image", data=self.data, tags=["t"], **formats)
        self.other_shared = self._add("other", visibility="shared", **formats)
        member = Member("pending", self.images.timestamp(), self.images.timestamp())
        for image_id in (self.shared, self.other_shared):
            image = self.images.get(image_id)
            self.images.put(replace(image, members={"m1": member}))
        # As one that another cloud's store holds, so that it can be copied to this one's.
        self.images.put(replace(self.images.get(self.decoy), locations=()))

    def _add(self, name: str, **fields: Any) -> str:
        # The same ids each time, so that an operation can be repeated alone.
        image_id = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        return self.images.add(id=image_id, name=f"{name} {self.marker}", **fields)

    @property
    def content(self) -> bool:
        """Whether a record may be another than Glance's in a way that no client can tell."""
        return any(one.plan.content for one in self.sent)

    @property
    def succeeds(self) -> bool:
        """Whether any server has answered with what may be a success."""
        return bool(self.healthy) or any(one.plan.succeeds for one in self.sent)


class Stage:
    """The scenes of the operations under way, by marker, and what the servers found wrong."""

    def __init__(self) -> None:
        self.scenes: dict[str, Scene] = {}
        self.problems: list[str] = []
        self.locations: list[bytes] = []

    def find(self, request: ReceivedRequest) -> Scene | None:
        """Return the scene of a request; None if its operation has ended."""
        return self.scenes.get(
            request.headers.get("x-openstack-request-id", "").removeprefix("req-")
        )


class ReplyingServer:
    """A TCP server with a thread for each connection.

    Args:
        stage: The scenes of all operations.
        tls: Certificates for https; None for http.
        mutates: Whether replies are mutated.
        stranger: Whether this is a server that no service is configured with, so that no token
            may reach it.
    """

    def __init__(self, stage, tls=None, *, mutates=True, stranger=False):
        self._stage = stage
        self._tls = tls
        self._mutates = mutates
        self._stranger = stranger
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._scheme = "https" if tls else "http"
        self.url = f"{self._scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self):
        """Refuse connections, and end those that are open."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                # Not SSLSocket's own: it takes the TLS object from under the reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.settimeout(LONGEST)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            # ValueError: a file object of a socket that the reset has closed.
            with contextlib.suppress(OSError, ValueError):
                if self._tls is not None:
                    sock = self._tls.known.wrap_socket(sock, server_side=True)
                self._open.add(sock)
                with sock.makefile("rb") as stream:
                    while self._exchange(sock, stream):
                        pass
        finally:
            self._open.discard(sock)
            sock.close()

    def _exchange(self, sock, stream):
        """Answer one request; return whether another one may follow on this connection."""
        try:
            request = read_head(stream)
        except Malformed as error:
            line = error.args[0]
            if line.endswith(b"\n"):  # else the client closed the connection amid its request
                self._stage.problems.append(f"a server got this for a request: {line!r}")
            return False
        if request is None:
            return False
        if self._stranger and TOKEN in str(request.headers):
            self._stage.problems.append(f"a token went to a stranger with {request.target}")
        scene = self._stage.find(request)
        if scene is None:
            return False
        return self._answer(sock, stream, request, scene)

    def _answer(self, sock, stream, request, scene):
        with scene.lock:
            number = len(scene.sent) + scene.healthy
            rng = random.Random(f"{scene.seed}:{scene.number}:{number}")
            mutates = self._mutates and rng.random() < 0.75
            if not mutates:
                scene.healthy += 1
            else:
                sent = Sent(f"{request.method} {request.target}", Plan(b"", [], b""), b"")
                scene.sent.append(sent)
        upload = request.headers.get("content-type") == BYTES
        early = mutates and upload and rng.random() < 0.15
        whole = request if early else _read_whole(stream, request)
        if whole is None:
            return False
        plan = _plan_early(scene, rng) if early else self._plan(whole, scene, number)
        if mutates:
            mutate(plan, rng, self._sources(request, scene))
            sent.plan, sent.wire = plan, plan.wire()
        if not _deliver(sock, plan, rng):
            return False
        return not early or _read_whole(stream, request) is not None

    def _plan(self, request, scene, number):
        """The correct reply, with the marker of its operation and its own number."""
        response = App(scene.images, {TOKEN}, self._scheme).answer(request)
        headers = tuple(pair for pair in response.headers if pair[0] != REQUEST_ID)
        request_id = (REQUEST_ID, f"req-{scene.marker}-{number}")
        response = type(response)(
            response.status, response.body, response.content_type, (*headers, request_id)
        )
        line, *lines = response.head().rstrip(b"\r\n").split(b"\r\n")
        body = b"" if request.method == "HEAD" else response.body
        meta = any(one.lower().startswith(b"x-image-meta-") for one in lines)
        is_data = response.content_type == BYTES
        ok = response.status < 300
        return Plan(line, lines, body, is_record=meta, is_data=is_data, succeeds=ok)

    def _sources(self, request, scene):
        method = "GET" if request.method == "GET" else "HEAD"
        target = request.target.replace(scene.shared, scene.other_shared)
        for known in (scene.target, scene.queued):
            target = target.replace(known, scene.decoy)
        asked = ReceivedRequest(method, target, request.headers)
        other = self._plan(asked, scene, 900)
        show = self._plan(
            ReceivedRequest("GET", f"/v2/images/{scene.decoy}", request.headers), scene, 901
        )
        path = target.encode()
        here = [request.target.encode(), path, self.url.encode() + path, b"", b"?", b"../..", b"//"]
        bad = [
            b"http://[::bad",
            b"javascript:x",
            b"http://127.0.0.1:1" + path,
            b"\xff\xfe",
            b"http://",
        ]
        there = [one + path for one in self._stage.locations]
        return Sources(other.wire(), show.body, [*here, *bad, *there])


def _plan_early(scene, rng):
    """A reply to an upload that is not read and so not carried out."""
    code = rng.choice((200, 204, 204, 401, 413, 503))
    line = b"HTTP/1.1 %d Early" % code
    headers = [
        b"Content-Length: 0",
        b"X-Openstack-Request-Id: req-%s-early" % scene.marker.encode(),
    ]
    end = rng.choice(("keep", "close", "reset", "hang"))
    return Plan(line, headers, b"", early=True, end=end, succeeds=code < 300, names=["early"])


def _read_whole(stream, request):
    """Return the request with its body; None if the client broke off."""
    try:
        body, complete = read_body(stream, request.headers)
    except Malformed:
        return None
    if not complete:
        return None
    return ReceivedRequest(
        request.method, request.target, request.headers, body, request.keep_alive
    )


def _deliver(sock, plan, rng):
    """Send a reply as its plan says; return whether the connection stays open."""
    data = plan.wire()
    ends = time.monotonic() + LONGEST
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(plan.pieces - 1))
    drips = plan.drips and not plan.after
    if plan.after:
        # What comes later than the client takes its connection again, no client can tell.
        cuts = []
    elif drips:
        # Image data may come as slowly as it likes, so that a whole drip would take too long.
        cuts = list(range(1, min(len(data), 20 if plan.is_data else len(data))))
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        sock.sendall(data[start:end])
        if end < len(data):
            time.sleep(0.03 if drips else rng.choice((0, 0, 0.002)))
        if time.monotonic() > ends:
            return False
    if plan.flood:
        for _ in range((FLOOD // 8 if plan.is_data else FLOOD) // len(plan.flood)):
            sock.sendall(plan.flood)
    return _end(sock, plan)


def _end(sock, plan):
    if plan.end == "hang":
        while sock.recv(65536):
            pass
    elif plan.end == "reset":
        reset_on_close(sock)
    elif plan.end == "notify" and hasattr(sock, "unwrap"):
        sock.settimeout(0.1)
        sock.unwrap()
    return plan.end == "keep"
