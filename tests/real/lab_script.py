"""The script of operations that stock clients run against a real Glance and against the lab.

``<a>`` stands for the id of the image that a step keeps as ``a``.
"""

TAG = "scripted"
"""A tag of all images of the script; its lists ask for no others."""

MISSING = "6c9a4f2e-0c5e-4a43-8a6e-2a8c9f7f1f6d"
RAW = {"disk_format": "raw", "container_format": "bare"}
DATA = "0123456789" * 20

_CREATED = {"tags": [TAG], "visibility": "shared"}


def _step(op, **arguments):
    return {"op": op, **arguments}


def _create(keep=None, **attributes):
    kept = {"keep": keep} if keep else {}
    return _step("create", attributes={**_CREATED, **attributes}, **kept)


def _list(**query):
    return _step("list", query={"tag": TAG, **query})


def _update(image="<a>", remove=(), **changes):
    return _step("update", image=image, changes=changes, remove=list(remove))


SCRIPT = (
    # an image and its data
    _create("a", name="cirros", min_disk=1, min_ram=64, os_distro="cirros", **RAW),
    _step("show", image="<a>"),
    _step("download", image="<a>"),
    _step("upload", image="<a>", data=DATA),
    _step("show", image="<a>"),
    _step("download", image="<a>"),
    _step("upload", image="<a>", data="again"),
    _create("b", name="b"),
    _step("upload", image="<b>", data=DATA),
    _update("<b>", **RAW),
    _step("upload", image="<b>", data=""),
    _step("show", image="<b>"),
    # changes
    _update(name="renamed", min_ram=128),
    _update(colour="blue"),
    _update(colour="red"),
    _update(remove=["colour"]),
    _update(min_disk=-1),
    _update(name="n" * 256),
    _update(protected=True),
    _step("delete", image="<a>"),
    _update(protected=False),
    _step("add_tag", image="<a>", tag="größe"),
    _step("show", image="<a>"),
    _step("remove_tag", image="<a>", tag="größe"),
    _step("remove_tag", image="<a>", tag="größe"),
    # lists
    _list(),
    _list(limit=1),
    _list(sort_key="name", sort_dir="asc"),
    _list(sort_key="size", sort_dir="desc"),
    _list(sort_key="bogus", sort_dir="asc"),
    _list(name="renamed"),
    _list(status="queued"),
    _list(status="active"),
    _list(visibility="shared"),
    _list(visibility="public"),
    _list(size_min=1),
    _list(size_max=100),
    _list(disk_format="raw"),
    _list(marker=MISSING),
    # members
    _create("c", name="c", **RAW),
    _step("add_member", image="<c>", member="project-1"),
    _step("add_member", image="<c>", member="project-1"),
    _step("list_members", image="<c>"),
    _step("show_member", image="<c>", member="project-1"),
    _step("set_member", image="<c>", member="project-1", status="rejected"),
    _step("set_member", image="<c>", member="project-1", status="bogus"),
    _step("remove_member", image="<c>", member="project-1"),
    _step("remove_member", image="<c>", member="project-1"),
    _update("<c>", visibility="private"),
    _step("add_member", image="<c>", member="project-1"),
    # what stops downloads
    _step("deactivate", image="<a>"),
    _step("download", image="<a>"),
    _step("reactivate", image="<a>"),
    # what is refused
    _step("show", image=MISSING),
    _step("show", image="no-uuid"),
    _step("delete", image=MISSING),
    _create(name="taken", id="<a>"),
    _create(name="x", visibility="bogus"),
    _create(name="x", disk_format="bogus", container_format="bare"),
    _create(name="x", id="no-uuid"),
    # hidden images
    _update("<c>", os_hidden=True),
    _list(os_hidden=True),
    _list(),
    # the import of data that is staged
    _create("d", name="d", **RAW),
    _step("stage", image="<d>", data=DATA),
    _step("show", image="<d>"),
    _step("import", image="<d>", method="glance-direct"),
    _step("await_status", image="<d>", status="active"),
    _step("download", image="<d>"),
    _step("import_info"),
    # the end
    _step("delete", image="<a>"),
    _step("show", image="<a>"),
    _step("delete", image="<a>"),
    _step("delete", image="<b>"),
    _step("delete", image="<c>"),
    _step("delete", image="<d>"),
    _list(),
)
"""The steps, in their order."""


def label(number):
    """What a list of differences calls a step: its number from 1, and its operation."""
    return f"{number} {SCRIPT[number - 1]['op']}"
