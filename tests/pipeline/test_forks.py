"""What is made anew in the child of a fork."""

import ast
import gc
import logging
import re
import weakref

from support import in_child
from traced_image_docs.architecture import MODULES

from traced_image import _forks


class Thing:
    def __init__(self, *, broken=False):
        self.forked = 0
        self.broken = broken
        _forks.track(self)

    def after_fork(self):
        if self.broken:
            raise OSError("no file descriptors left")
        self.forked += 1


def test_a_child_makes_anew_what_is_tracked():
    thing = Thing()

    assert 1 == in_child(lambda: thing.forked)


def test_its_parent_is_left_alone():
    thing = Thing()

    in_child(lambda: None)

    assert 0 == thing.forked


def test_a_grandchild_makes_it_anew_again():
    thing = Thing()

    assert 2 == in_child(lambda: in_child(lambda: thing.forked))


def test_what_is_tracked_is_not_kept_alive():
    thing = weakref.ref(Thing())
    gc.collect()

    assert thing() is None


def test_one_that_fails_does_not_keep_the_others_from_being_made_anew():
    things = [Thing(broken=number % 2 == 0) for number in range(10)]

    logging.disable()
    try:
        forked = in_child(lambda: [thing.forked for thing in things])
    finally:
        logging.disable(logging.NOTSET)

    assert [0, 1] * 5 == forked


def test_one_that_fails_is_logged(caplog):
    broken = Thing(broken=True)

    _forks._after_fork_in_child()

    assert [f"{type(broken).__name__} could not be reset after a fork"] == caplog.messages


def test_the_page_of_forks_names_all_that_do_something_in_a_child():
    found = {
        f"{module}.{node.name}"
        for module, path in MODULES.items()
        if module != "_forks"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        and any(getattr(each, "name", None) == "after_fork" for each in node.body)
    }

    assert found == set(re.findall(r"^``([\w.]+)``", _forks.__doc__, re.MULTILINE))


def test_only_the_page_of_forks_and_what_comes_last_register_what_happens_at_a_fork():
    texts = {module: path.read_text("utf-8") for module, path in MODULES.items()}

    registering = [name for name, text in texts.items() if "register_at_fork" in text]
    assert ["_forks", "exporter.environment"] == registering
