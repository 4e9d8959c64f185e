"""The requests that are sent to a real Glance and to the lab: families, each a sequence."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lab_values import (
    ACCEPTED,
    CONTENTS,
    CREATIONS,
    FORMATS,
    LISTINGS,
    METHODS,
    ODD_TARGETS,
    PATCHES,
    PATHS,
    RANGES,
)

PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
OLD_PATCH = {"Content-Type": "application/openstack-images-v2.0-json-patch"}
DATA = {"Content-Type": "application/octet-stream"}
MISSING = "00000000-1111-4222-8333-444444444444"
BARE = {"container_format": "bare", "disk_format": "raw"}


@dataclass(frozen=True)
class Ask:
    """One request.

    Attributes:
        method: The HTTP method.
        target: The path with the query. ``<name>`` stands for an id that was kept, as in the body.
        body: Bytes as they are, or what is sent as JSON.
        headers: The headers beside Host, Accept and Content-Length.
        user: Whose token it has; None for none.
        keep: The name by which later requests have the id in the reply.
        until: Words; any of them in the reply's body ends its repetition; none for one request.
        gone: The word in the reply's body that makes it be repeated.
    """

    method: str
    target: str
    body: object = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    keep: str = ""
    until: tuple[str, ...] = ()
    gone: str = ""

    @property
    def content(self) -> bytes:
        """The body as bytes."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    @property
    def label(self) -> str:
        """What a person can find it by."""
        user = f"{self.user}: " if self.user else ""
        headers = "".join(f" {name}={value}" for name, value in self.headers.items())
        body = self.content[:90].decode("latin-1")
        return f"{user}{self.method} {self.target[:150]}{headers[:150]} {body}".strip()


def create(keep: str, user: str | None = None, **attributes: object) -> Ask:
    """The request that creates an image."""
    return Ask("POST", "/v2/images", attributes, user=user, keep=keep)


def patch(image: str, *operations: object, user: str | None = None) -> Ask:
    """The request that changes an image, in v2.1's notation."""
    return Ask("PATCH", f"/v2/images/<{image}>", list(operations), PATCH, user)


def upload(image: str, data: bytes, user: str | None = None) -> Ask:
    """The request that uploads an image's data."""
    return Ask("PUT", f"/v2/images/<{image}>/file", data, DATA, user)


def _roots() -> Iterator[Ask]:
    for path in ("/", "/versions", "/v2", "/v2/", "/v3/images", "/v1/images"):
        yield from (Ask(method, path) for method in ("GET", "HEAD", "POST", "OPTIONS"))
    for path in ("/healthcheck", "/healthcheck/x"):
        yield from (Ask(method, path) for method in ("GET", "HEAD", "OPTIONS", "POST"))
    for kind in ("application/json", "text/plain", "text/html"):
        yield from (
            Ask("GET", path, headers={"Accept": kind})
            for path in (
                "/",
                "/healthcheck",
                "/v2/nope",
                f"/v2/images/{MISSING}",
                "/v2/images?x_min=y",
            )
        )
    for kind in ACCEPTED:
        for path in ("/healthcheck", f"/v2/images/{MISSING}"):
            yield Ask("GET", path, headers={"Accept": kind})
    for version in ("v2.5", "v1", "x"):
        kind = f"application/vnd.openstack.images-{version}"
        yield Ask("GET", f"/images/{MISSING}", headers={"Accept": kind})


def _methods() -> Iterator[Ask]:
    for path in PATHS:
        yield from (Ask(method, path.replace("*", MISSING)) for method in METHODS)
    for body in (b"data", b"{}", b"1"):
        for path in (f"/v2/images/{MISSING}/file", "/v2/images", "/v2/schemas/image"):
            yield from (Ask(method, path, body) for method in ("POST", "PATCH", "DELETE"))
    yield from (Ask(method, "/v2/schemas/nope") for method in METHODS)
    yield Ask("GET", "/v2/schemas/image", b"{}")
    yield Ask("DELETE", f"/v2/tasks/{MISSING}", b"data")


def _creations() -> Iterator[Ask]:
    yield from (Ask("POST", "/v2/images", body) for body in CREATIONS)
    kinds = ("text/plain", "application/json; charset=utf-8", "application/octet-stream", "")
    for kind in kinds:
        yield Ask("POST", "/v2/images", {"name": "typed"}, {"Content-Type": kind})
    yield create("image", owner="")
    yield Ask("GET", "/v2/images/<image>")
    yield patch("image", {"op": "replace", "path": "/owner", "value": "o"})
    yield patch("image", {"op": "replace", "path": "/owner", "value": ""})
    yield Ask("GET", "/v2/images/<image>")
    yield create("", id="<fresh>")
    yield create("", id="<fresh>")
    yield Ask("DELETE", "/v2/images/<fresh>")
    yield create("", id="<fresh>")
    yield Ask("GET", "/v2/images/<fresh>")
    yield Ask("DELETE", "/v2/images/<fresh>")


def _patches() -> Iterator[Ask]:
    yield create("image", name="patched", tags=["b", "a"], one="1", two="2", **BARE)
    for operations in PATCHES:
        yield Ask("PATCH", "/v2/images/<image>", operations, PATCH)
    yield Ask("GET", "/v2/images/<image>")
    for old in (
        {"add": "/old", "value": "1"},
        {"add": "/old", "value": "1"},
        {"replace": "/old", "value": "2"},
        {"remove": "/old"},
        {"remove": "/old"},
        {"add": "/x", "remove": "/y"},
        {"move": "/x"},
        {},
        {"add": "x", "value": "1"},
        {"add": "/name", "value": "1"},
    ):
        yield Ask("PATCH", "/v2/images/<image>", [old], OLD_PATCH)
    for kind in ("application/json", "text/plain", "", "application/json-patch+json"):
        yield Ask("PATCH", "/v2/images/<image>", [], {"Content-Type": kind})
    yield Ask("PATCH", f"/v2/images/{MISSING}", [], PATCH)
    yield upload("image", b"data")
    for path, value in (
        ("/disk_format", "qcow2"),
        ("/container_format", "ova"),
        ("/min_disk", 3),
        ("/protected", True),
        ("/visibility", "community"),
        ("/visibility", "shared"),
    ):
        yield patch("image", {"op": "replace", "path": path, "value": value})
    yield Ask("DELETE", "/v2/images/<image>")
    yield patch("image", {"op": "replace", "path": "/protected", "value": False})
    yield Ask("DELETE", "/v2/images/<image>")
    yield patch("image", {"op": "replace", "path": "/name", "value": "late"})


def _data() -> Iterator[Ask]:
    yield create("bare", name="no formats")
    yield upload("bare", b"data")
    yield create("half", disk_format="raw")
    yield upload("half", b"data")
    yield create("image", **BARE)
    yield Ask("GET", "/v2/images/<image>/file")
    for kind in ("text/plain", "application/json", "", "application/octet-stream; x=y"):
        yield Ask("PUT", "/v2/images/<bare>/file", b"data", {"Content-Type": kind})
    yield Ask("PUT", f"/v2/images/{MISSING}/file", b"data", DATA)
    yield Ask("PUT", "/v2/images/<image>/file", b"0" * 70, {**DATA, "x-image-meta-store": "nope"})
    yield upload("image", b"0123456789")
    yield upload("image", b"again")
    yield Ask("GET", "/v2/images/<image>")
    yield Ask("GET", "/v2/images/<image>/file")
    yield Ask("HEAD", "/v2/images/<image>/file")
    yield from (Ask("GET", "/v2/images/<image>/file", headers={"Range": one}) for one in RANGES)
    for one in ("bytes 0-3/10", "bytes 0-3/*", "bytes 5-3/10", "bytes x", "bytes 0-99/10"):
        yield Ask("GET", "/v2/images/<image>/file", headers={"Content-Range": one})
    yield Ask("GET", "/v2/images/<image>/file", b"body")
    for size in ("x", "", "3", "5", "-1", "70000", "0", "4"):
        data = b"x" * (300_000 if size == "70000" else 4)
        yield create("told", **BARE)
        for path in ("stage", "file"):
            headers = {**DATA, "x-openstack-image-size": size}
            yield Ask("PUT", f"/v2/images/<told>/{path}", data, headers)
            yield Ask("GET", "/v2/images/<told>")
    yield create("empty", **BARE)
    yield upload("empty", b"")
    yield Ask("GET", "/v2/images/<empty>")
    yield Ask("GET", "/v2/images/<empty>/file")
    for one in ("bytes=0-0", "bytes=-1"):
        yield Ask("GET", "/v2/images/<empty>/file", headers={"Range": one})
    yield create("sized", min_disk=1, min_ram=1, **BARE)
    yield upload("sized", b"x" * 70_000)
    yield Ask("GET", "/v2/images/<sized>/file", headers={"Range": "bytes=65530-65545"})
    yield Ask("DELETE", "/v2/images/<sized>")
    yield Ask("GET", "/v2/images/<sized>/file")
    yield upload("sized", b"x")


def _formats() -> Iterator[Ask]:
    for disk, container, refused, stored in FORMATS:
        for content in (*refused, *stored):
            yield create("image", name=content, disk_format=disk, container_format=container)
            yield upload("image", CONTENTS[content])
            if content in stored:
                yield Ask("GET", "/v2/images/<image>")
    yield create("image", disk_format="qcow2", container_format="bare")
    yield upload("image", CONTENTS["junk"])
    yield upload("image", CONTENTS["qcow2"])
    yield Ask("GET", "/v2/images/<image>/file")
    yield Ask("DELETE", "/v2/images/<image>")


def _actions() -> Iterator[Ask]:
    for action in ("deactivate", "reactivate"):
        yield Ask("POST", f"/v2/images/{MISSING}/actions/{action}")
    yield create("image", **BARE)
    yield Ask("POST", "/v2/images/<image>/actions/deactivate")
    yield Ask("POST", "/v2/images/<image>/actions/reactivate")
    yield upload("image", b"0123456789")
    for action in ("reactivate", "deactivate", "deactivate"):
        yield Ask("POST", f"/v2/images/<image>/actions/{action}")
        yield Ask("GET", "/v2/images/<image>")
    yield Ask("GET", "/v2/images/<image>/file")
    yield Ask("GET", "/v2/images/<image>/file", headers={"Range": "bytes=1-2"})
    yield upload("image", b"x")
    yield patch("image", {"op": "replace", "path": "/name", "value": "deactivated"})
    yield Ask("POST", "/v2/images/<image>/actions/reactivate", b"body")
    yield Ask("POST", "/v2/images/<image>/actions/reactivate")
    yield Ask("POST", "/v2/images/<image>/actions/other")
    yield Ask("GET", "/v2/images/<image>")


def _members() -> Iterator[Ask]:
    yield create("image", name="shared", **BARE)
    path = "/v2/images/<image>/members"
    bodies: Sequence[object] = (
        b"",
        b"{",
        [],
        {},
        "p1",
        {"member": ""},
        {"member": "p1"},
        {"member": "p1"},
        {"member": 5},
        {"member": None},
        {"member": "ä 𝄞"},
        {"member": "x" * 256},
        {"member": "p2", "more": 1},
    )
    yield from (Ask("POST", path, body) for body in bodies)
    yield Ask("GET", path)
    for one in ("p1", "p9", "p2", "%C3%A4", "p1%2F"):
        yield Ask("GET", f"{path}/{one}")
    statuses: Sequence[object] = (
        b"",
        [],
        {},
        {"status": "accepted"},
        {"status": "rejected"},
        {"status": "pending"},
        {"status": "other"},
        {"status": 5},
        {"status": None},
        {"status": "accepted", "member_id": "x"},
    )
    yield from (Ask("PUT", f"{path}/p1", body) for body in statuses)
    yield Ask("PUT", f"{path}/p9", {"status": "accepted"})
    yield Ask("GET", f"{path}/p1")
    yield Ask("DELETE", f"{path}/p1", b"body")
    yield Ask("DELETE", f"{path}/p1")
    yield Ask("DELETE", f"{path}/p1")
    yield Ask("POST", path, {"member": "p1"})
    yield Ask("GET", path)
    for visibility in ("private", "community", "public"):
        yield patch("image", {"op": "replace", "path": "/visibility", "value": visibility})
        yield Ask("GET", path)
        yield Ask("GET", f"{path}/p1")
        yield Ask("POST", path, {"member": "p3"})
        yield Ask("PUT", f"{path}/p1", {"status": "accepted"})
        yield Ask("DELETE", f"{path}/p1")


def _tags() -> Iterator[Ask]:
    yield create("image", tags=["b", "a", "b"])
    tags = ("x", "x", "%C3%A4", "a%20b", "a%2Fb", "%F0%9D%84%9E", "x" * 256, "", "a;b", "..")
    for method in ("PUT", "DELETE"):
        for tag in tags:
            yield Ask(method, f"/v2/images/<image>/tags/{tag}")
        yield Ask("GET", "/v2/images/<image>")
    yield Ask("PUT", "/v2/images/<image>/tags/x", b"body")
    yield Ask("PUT", "/v2/images/<image>/tags/x", b"", {"Content-Type": "application/json"})
    yield create("many", tags=[f"t{number}" for number in range(128)])
    yield Ask("PUT", "/v2/images/<many>/tags/t0")
    yield Ask("PUT", "/v2/images/<many>/tags/one-more")
    yield create("", tags=[f"t{number}" for number in range(129)])
    yield Ask("GET", "/v2/images/<many>")


def _limits() -> Iterator[Ask]:
    yield create("", **{f"p{number:03}": "x" for number in range(65)})
    yield create("full", **{f"p{number:03}": "x" for number in range(64)})
    yield patch("full", {"op": "add", "path": "/more", "value": "x"})
    yield patch("full", {"op": "replace", "path": "/p000", "value": "y"})
    yield patch("full", {"op": "remove", "path": "/p000"})
    yield patch("full", {"op": "add", "path": "/more", "value": "x"})
    yield create("shared", **BARE)
    for number in range(130):
        if number in (0, 128):
            yield Ask("POST", "/v2/images/<shared>/members", {"member": f"m{number}"})
    for number in (2**31 - 1, 2**31, -1, 1.5):
        for name in ("min_disk", "min_ram"):
            yield create("", **{name: number})
            yield patch("full", {"op": "replace", "path": f"/{name}", "value": number})
    for name in ("name", "custom", "architecture"):
        for value in ("a𝄞b", "ä" * 255, "\x00", "\ud800"):
            yield create("", **{name: value})
    for path, value in (("name", "𝄞"), ("my_own", "𝄞"), ("𝄞", "x"), ("tags", ["𝄞"])):
        yield patch("shared", {"op": "add", "path": f"/{path}", "value": value})
    yield create("", my_own="𝄞")
    yield create("", **{"𝄞": "x"})
    yield create("", **{"x" * 256: "x"})
    yield create("", tags=["𝄞"])
    yield create("", tags=["x" * 256])
    yield Ask("PUT", "/v2/images/<shared>/tags/%F0%9D%84%9E")


def _listing() -> Iterator[Ask]:
    for number in range(12):
        yield create(
            f"image{number}",
            name=f"listed-{number % 5}",
            id=f"<id{number}>",
            tags=["<fresh>", "even" if number % 2 == 0 else "odd"],
            min_ram=number,
            protected=number == 3,
            os_hidden=number == 7,
            visibility=("shared", "private", "public", "community")[number % 4],
            custom=f"c{number % 3}",
            **({} if number == 9 else BARE),
        )
        if number % 3 == 0:
            yield upload(f"image{number}", b"x" * (number + 1))
    for query in LISTINGS:
        tag = "" if "tag=" in query else "tag=<fresh>&"
        yield Ask("GET", f"/v2/images?{tag}{query}")
    yield Ask("GET", "/v2/images?tag=<fresh>", b"body")
    yield Ask("HEAD", "/v2/images?tag=<fresh>")
    yield patch("image3", {"op": "replace", "path": "/protected", "value": False})
    yield Ask("GET", "/v2/images?tag=<fresh>&sort=updated_at:asc")
    yield Ask("DELETE", "/v2/images/<image6>")
    yield Ask("GET", "/v2/images?tag=<fresh>&limit=3&marker=<image6>")
    yield Ask("GET", "/v2/images?tag=<fresh>&sort=status&marker=<image6>")


def _imports() -> Iterator[Ask]:
    yield create("plain", name="no formats")
    bodies: Sequence[object] = (
        b"",
        b"x",
        [],
        {},
        {"method": "glance-direct"},
        {"method": {}},
        {"method": {"name": "other"}},
        {"method": {"name": "glance-direct"}},
        {"method": {"name": "web-download"}},
        {"method": {"name": "web-download", "uri": "http://127.0.0.1:9/x"}},
        {"method": {"name": "copy-image"}},
        {"method": {"name": "glance-download"}},
        {"method": {"name": "glance-direct"}, "all_stores": "x"},
        {"method": {"name": "glance-direct"}, "all_stores_must_succeed": "x"},
        {"method": {"name": "glance-direct"}, "stores": "x"},
        {"method": {"name": "glance-direct"}, "stores": []},
        {"method": {"name": "glance-direct"}, "stores": ["nope"]},
    )
    yield from (Ask("POST", "/v2/images/<plain>/import", body) for body in bodies)
    yield Ask("POST", f"/v2/images/{MISSING}/import", {"method": {"name": "copy-image"}})
    yield create("image", **BARE)
    yield from (Ask("POST", "/v2/images/<image>/import", body) for body in bodies[7:9])
    yield from (Ask("POST", "/v2/images/<image>/import", body) for body in bodies[10:])
    for uri in ("ftp://127.0.0.1/x", "x", "", 5, None, "file:///etc/passwd"):
        body = {"method": {"name": "web-download", "uri": uri}}
        yield Ask("POST", "/v2/images/<image>/import", body)
    yield Ask("PUT", "/v2/images/<image>/stage", b"data", {"Content-Type": "text/plain"})
    yield Ask("PUT", "/v2/images/<image>/stage", b"data", DATA)
    yield Ask("PUT", "/v2/images/<image>/stage", b"data", DATA)
    yield Ask("GET", "/v2/images/<image>")
    yield upload("image", b"data")
    yield Ask("GET", "/v2/images/<image>/file")
    yield Ask("GET", "/v2/images/<image>/tasks")
    yield Ask("POST", "/v2/images/<image>/import", bodies[8])
    yield Ask("POST", "/v2/images/<image>/import", bodies[10])
    yield Ask("GET", f"/v2/images/{MISSING}/tasks")


def _finished_imports() -> Iterator[Ask]:
    for image, disk, content in (
        ("raw", "raw", "junk"),
        ("junk", "qcow2", "junk"),
        ("good", "qcow2", "qcow2"),
    ):
        yield create(image, "owner", disk_format=disk, container_format="bare")
        stage = f"/v2/images/<{image}>/stage"
        yield Ask("PUT", stage, CONTENTS[content], DATA, "owner")
        yield from _imported(image, {"name": "glance-direct"})
    for image, uri in (
        ("dead", "http://127.0.0.1:9/x"),
        ("web", "<web_url>/data"),
        ("gone", "<web_url>/nothing"),
    ):
        yield create(image, "owner", **BARE)
        yield from _imported(image, {"name": "web-download", "uri": uri})
    again = {"method": {"name": "web-download", "uri": "<web_url>/data"}}
    yield Ask("POST", "/v2/images/<web>/import", again, user="owner")
    yield Ask("GET", "/v2/images/<dead>/tasks", user="stranger")
    yield Ask("GET", "/v2/tasks/<task>", user="owner")
    yield Ask("GET", "/v2/tasks/<task>", user="admin")
    copying = {"method": {"name": "copy-image"}, "stores": ["<store>"]}
    for user in ("owner", "admin"):
        yield Ask("POST", "/v2/images/<web>/import", copying, user=user)


def _imported(image: str, method: Mapping[str, str]) -> Iterator[Ask]:
    path = f"/v2/images/<{image}>"
    yield Ask("POST", f"{path}/import", {"method": method}, user="owner")
    finished = ('"success"', '"failure"')
    yield Ask("GET", f"{path}/tasks", user="owner", keep="task", until=finished)
    yield Ask("GET", path, user="owner", gone="os_glance_import_task")
    yield Ask("GET", f"{path}/file", user="owner")


def _tasks() -> Iterator[Ask]:
    for kind in ("import", "export", "api_image_import", "other"):
        yield Ask("POST", "/v2/tasks", {"type": kind, "input": {}})
    for body in (b"", [], {}, {"type": "import"}, {"input": {}}, {"type": 5, "input": {}}):
        yield Ask("POST", "/v2/tasks", body)
    for more in (
        {"input": 5},
        {"input": None},
        {"id": "x"},
        {"status": "x"},
        {"x": 1},
        {"input": {"import_from": "x"}},
        {"input": {"import_from": "file:///x"}},
        {"input": {"import_from": 5}},
        {"type": "location_import"},
    ):
        yield Ask("POST", "/v2/tasks", {"type": "import", "input": {}, **more})
    yield Ask("GET", f"/v2/tasks/{MISSING}")
    yield Ask("DELETE", f"/v2/tasks/{MISSING}")
    for query in (
        "limit=x",
        "limit=-1",
        "marker=x",
        "sort_dir=x",
        "sort_key=x",
        "type=x",
        "status=x",
    ):
        yield Ask("GET", f"/v2/tasks?{query}")
    for query in ("type=export", "type=import&limit=0", "type=api_image_import", "limit=0;type=x"):
        yield Ask("GET", f"/v2/tasks?{query}")
    yield Ask("PATCH", "/v2/tasks")


def _locations() -> Iterator[Ask]:
    path = "/v2/images/<image>/locations"
    yield create("image", **BARE)
    url = "<web_url>/data"
    good = {"url": url, "metadata": {}}
    hashes = {"os_hash_algo": "sha512", "os_hash_value": "ab" * 64}
    for value in (
        b"",
        [],
        {},
        {"url": 5},
    ):
        yield Ask("POST", path, value)
    yield patch("image", {"op": "replace", "path": "/locations", "value": []})
    for value in ([5], [{}], [{"url": url}], [good, good], "x"):
        yield patch("image", {"op": "replace", "path": "/locations", "value": value})
    for position in ("", "/x", "/-1", "/5"):
        yield patch("image", {"op": "add", "path": f"/locations{position}", "value": good})
    yield patch("image", {"op": "remove", "path": "/locations/0"})
    yield patch("image", {"op": "remove", "path": "/locations"})
    yield patch("image", {"op": "add", "path": "/locations/-", "value": good})
    yield Ask("GET", "/v2/images/<image>")
    yield patch("image", {"op": "add", "path": "/locations/-", "value": good})
    more = {"url": "<web_url>/more", "metadata": {"a": "b"}}
    yield patch("image", {"op": "add", "path": "/locations/0", "value": more})
    yield patch("image", {"op": "replace", "path": "/locations", "value": [good]})
    yield Ask("POST", path, {"url": url})
    yield patch("image", {"op": "remove", "path": "/locations/7"})
    yield patch("image", {"op": "remove", "path": "/locations/0"})
    yield patch("image", {"op": "remove", "path": "/locations/0"})
    yield Ask("GET", f"/v2/images/{MISSING}/locations")
    yield Ask("POST", f"/v2/images/{MISSING}/locations", {"url": url})
    for place in (good, {**good, "validation_data": hashes}):
        yield create("", locations=[place], **BARE)


def _stores() -> Iterator[Ask]:
    paths = ("/v2/info/import", "/v2/info/stores", "/v2/info/stores/detail", "/v2/info/usage")
    yield from (Ask("GET", path) for path in paths)
    yield create("image", **BARE)
    yield upload("image", b"data")
    for store in ("nope", "slow", "<store>"):
        yield Ask("DELETE", f"/v2/stores/{store}/<image>")
        yield Ask("DELETE", f"/v2/stores/{store}/{MISSING}")
    copying = {"method": {"name": "copy-image"}, "stores": ["slow"]}
    yield Ask("POST", "/v2/images/<image>/import", copying)
    yield create("aimed", **BARE)
    yield Ask("PUT", "/v2/images/<aimed>/file", b"x", {**DATA, "x-image-meta-store": "slow"})
    yield Ask("GET", "/v2/images/<aimed>")
    yield Ask("GET", "/v2/cache")
    yield Ask("GET", "/v2/cached_images")


def _schemas() -> Iterator[Ask]:
    names = ("image", "images", "member", "members", "task", "tasks", "nope", "", "image/x")
    yield from (Ask("GET", f"/v2/schemas/{name}") for name in names)
    yield Ask("GET", "/v2/schemas/metadefs/namespace")
    yield Ask("GET", "/v2/metadefs/namespaces")
    kernel = "9f1c0b1e-2222-4333-8444-555555555555"
    for name, value in (
        ("kernel_id", kernel),
        ("kernel_id", "x"),
        ("kernel_id", None),
        ("ramdisk_id", "x"),
        ("ramdisk_id", None),
        ("architecture", None),
        ("architecture", "x86_64"),
        ("instance_uuid", "x"),
        ("os_distro", 5),
        ("description", "x"),
    ):
        yield create("image", **{name: value})
        yield patch("image", {"op": "add", "path": f"/{name}", "value": value})


def _odd() -> Iterator[Ask]:
    yield create("image", name="odd", **BARE)
    yield from (Ask("GET", target) for target in ODD_TARGETS)
    for body in (
        b"{",
        b"\xff",
        b'\xef\xbb\xbf{"name": "x"}',
        b"[" * 2000,
        b"NaN",
        b'{"name": NaN}',
        b"null",
        b"1",
        b'"x"',
    ):
        yield Ask("POST", "/v2/images", body)
        yield Ask("PATCH", "/v2/images/<image>", body, PATCH)
    yield Ask("POST", "/v2/images", b'{"name": "a", "name": "b"}')
    for headers in (
        {"X-Openstack-Request-Id": "req-mine"},
        {"Accept": "application/json, text/html"},
        {"X-Auth-Token": "unknown"},
        {"X-Roles": "admin"},
        {"X-Forwarded-Proto": "https"},
        {"Origin": "http://elsewhere"},
    ):
        yield Ask("GET", f"/v2/images/{MISSING}", headers=headers)
        yield Ask("GET", "/v2/images/<image>", headers=headers)


def _added_locations() -> Iterator[Ask]:
    """Locations by their own calls; the last one starts a task, so that nothing may follow it."""
    yield create("image", "owner", **BARE)
    path = "/v2/images/<image>/locations"
    for user in ("owner", "admin", "reader", "stranger", "glance"):
        yield Ask("GET", path, user=user)
    for user in ("reader", "stranger", "glance"):
        yield Ask("POST", path, {"url": "<web_url>/data"}, user=user)


USERS = ("admin", "owner", "reader", "stranger", "glance")


def _roles() -> Iterator[Ask]:
    """What each user may do to images of the owner's, one of each visibility."""
    for visibility, users in (
        ("private", ("stranger",)),
        ("shared", ("stranger", "reader", "glance", "owner", "admin")),
        ("community", ("stranger",)),
        ("public", ("stranger",)),
    ):
        creator = "admin" if visibility == "public" else "owner"
        more = {"owner": "<owner_project>"} if visibility == "public" else {}
        given = {"tags": ["<fresh>"], "visibility": visibility, "x": "1", **BARE, **more}
        yield create(visibility, creator, name="role", **given)
        yield upload(visibility, b"0123456789", creator)
        for user in users:
            attempts = list(_attempts(visibility, user))
            # Elsewhere most of them end alike.
            yield from attempts if visibility == "shared" else attempts[:7]
        yield Ask("GET", f"/v2/images/<{visibility}>", user="admin")
    for user in USERS:
        yield from (
            Ask("GET", f"/v2/images?tag=<fresh>&{query}", user=user)
            for query in ("", "visibility=private", "visibility=shared", "visibility=all")
        )
        yield from (
            Ask("GET", path, user=user)
            for path in ("/v2/tasks?type=export", "/v2/info/stores/detail", "/v2/info/import")
        )
        yield from _created(user)


def _attempts(image: str, user: str) -> Iterator[Ask]:
    path = f"/v2/images/<{image}>"
    yield Ask("GET", path, user=user)
    yield Ask("GET", f"{path}/file", user=user)
    yield Ask("GET", f"{path}/tasks", user=user)
    yield patch(image, {"op": "add", "path": "/x", "value": "2"}, user=user)
    yield patch(image, {"op": "replace", "path": "/owner", "value": "<owner_project>"}, user=user)
    yield patch(image, {"op": "replace", "path": "/visibility", "value": "public"}, user=user)
    yield patch(image, {"op": "replace", "path": "/visibility", "value": image}, user=user)
    yield upload(image, b"x", user)
    yield Ask("PUT", f"{path}/stage", b"x", DATA, user)
    yield Ask("PUT", f"{path}/tags/t", user=user)
    yield Ask("DELETE", f"{path}/tags/t", user=user)
    yield Ask("POST", f"{path}/import", {"method": {"name": "copy-image"}}, user=user)
    yield Ask("POST", f"{path}/members", {"member": f"of-{user}"}, user=user)
    yield Ask("GET", f"{path}/members", user=user)
    yield Ask("GET", f"{path}/locations", user=user)
    yield patch(image, {"op": "remove", "path": "/locations/0"}, user=user)
    for action in ("deactivate", "reactivate"):
        yield Ask("POST", f"{path}/actions/{action}", user=user)
    if user in ("stranger", "reader", "glance"):
        yield Ask("DELETE", path, user=user)


def _created(user: str) -> Iterator[Ask]:
    yield create("own", user, name="made", **BARE)
    yield create("", user, name="public", visibility="public")
    yield create("", user, name="community", visibility="community")
    yield create("", user, name="other's", owner="someone")
    yield create("", user, name="nobody's", owner=None)
    yield Ask("POST", "/v2/images/<own>/import", {"method": {"name": "glance-direct"}}, user=user)
    yield Ask("DELETE", "/v2/images/<own>", user=user)


def _sharing() -> Iterator[Ask]:
    path = "/v2/images/<image>"
    yield create("image", "owner", name="to share", tags=["<fresh>"], **BARE)
    yield upload("image", b"0123456789", "owner")
    yield Ask("GET", path, user="stranger")
    yield Ask("POST", f"{path}/members", {"member": "<stranger_project>"}, user="reader")
    yield Ask("POST", f"{path}/members", {"member": "<stranger_project>"}, user="stranger")
    yield Ask("POST", f"{path}/members", {"member": "<stranger_project>"}, user="owner")
    yield Ask("POST", f"{path}/members", {"member": "third"}, user="owner")
    for status in ("accepted", "rejected"):
        yield Ask("GET", path, user="stranger")
        yield Ask("GET", f"{path}/file", user="stranger")
        for query in ("", "&visibility=shared", "&visibility=shared&member_status=all"):
            yield Ask("GET", f"/v2/images?tag=<fresh>{query}", user="stranger")
        yield Ask("GET", f"/v2/images?tag=<fresh>&member_status={status}", user="stranger")
        yield Ask("GET", "/v2/images?tag=<fresh>&owner=<owner_project>", user="stranger")
        yield Ask("GET", f"{path}/members", user="stranger")
        member = f"{path}/members/<stranger_project>"
        for user in ("reader", "owner", "stranger", "admin"):
            yield Ask("PUT", member, {"status": status}, user=user)
            yield Ask("GET", member, user=user)
        yield Ask("PUT", f"{path}/members/third", {"status": "accepted"}, user="stranger")
        yield Ask("GET", f"{path}/members/third", user="stranger")
    yield Ask("DELETE", f"{path}/members/third", user="stranger")
    yield Ask("DELETE", member, user="stranger")
    yield patch("image", {"op": "add", "path": "/x", "value": "1"}, user="stranger")
    yield Ask("DELETE", path, user="stranger")
    yield Ask("DELETE", member, user="reader")
    yield Ask("DELETE", member, user="owner")
    yield Ask("GET", path, user="stranger")
    yield patch("image", {"op": "replace", "path": "/owner", "value": "third"}, user="admin")
    yield Ask("GET", path, user="owner")
    yield Ask("DELETE", path, user="admin")
    yield create("off", "owner", name="off", **BARE)
    yield upload("off", b"0123456789", "owner")
    yield Ask("POST", "/v2/images/<off>/actions/deactivate", user="owner")
    for user in ("owner", "admin", "reader"):
        yield Ask("GET", "/v2/images/<off>/file", user=user)


def _tokens() -> Iterator[Ask]:
    for headers in ({}, {"X-Auth-Token": "unknown"}):
        for path in (
            "/",
            "/healthcheck",
            "/v2",
            "/v2/images",
            "/v2/nope",
            "/v2/schemas/image",
            "/v3",
        ):
            yield Ask("GET", path, headers=headers)
        yield Ask("POST", "/v2/images", {}, headers)
        yield Ask("OPTIONS", "/v2/images", headers=headers)
    for sent in ("req-mine", "mine", "x" * 300, "req-ä"):
        yield Ask(
            "GET", "/v2/schemas/member", headers={"X-Openstack-Request-Id": sent}, user="owner"
        )


OPEN = {
    "roots": _roots,
    "methods": _methods,
    "creations": _creations,
    "patches": _patches,
    "data": _data,
    "formats": _formats,
    "actions": _actions,
    "members": _members,
    "tags": _tags,
    "limits": _limits,
    "listing": _listing,
    "imports": _imports,
    "tasks": _tasks,
    "locations": _locations,
    "stores": _stores,
    "schemas": _schemas,
    "odd": _odd,
}
"""The families for a Glance without Keystone."""

GUARDED = {
    "roles": _roles,
    "sharing": _sharing,
    "tokens": _tokens,
    "finished imports": _finished_imports,
    "added locations": _added_locations,
}
"""The families for a Glance with Keystone."""
FAMILIES = {**OPEN, **GUARDED}


def requests_of(family: str) -> list[tuple[str, Ask]]:
    """The family's requests in order, each with a label that no other one has."""
    seen: dict[str, int] = {}
    labelled = []
    for ask in FAMILIES[family]():
        label = f"{family} | {ask.label}"
        seen[label] = seen.get(label, 0) + 1
        labelled.append((label if seen[label] == 1 else f"{label} #{seen[label]}", ask))
    return labelled
