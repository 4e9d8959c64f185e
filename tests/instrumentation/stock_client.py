"""How a stock client reaches its server, and which client it is: the real one, or its shape."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from keystoneauth1 import session
from keystoneauth1.token_endpoint import Token

REAL = bool(os.environ.get("REAL_CLIENTS"))
SHAPES = Path(__file__).parent / "shapes"


# What imports python-glanceclient; the rest of nova and cinder takes seconds to be imported again.
_USERS = ("nova.image.glance", "cinder.image.glance")


def forget_library():
    for name in list(sys.modules):
        if name.partition(".")[0] == "glanceclient" or name in _USERS:
            del sys.modules[name]


def over_requests(make, url):
    return make(endpoint=f"{url}/v2", token="t")


def over_session(make, url):
    return make("2", url, session=session.Session(auth=Token("http://127.0.0.1:1", "t")))


def over_catalogue(make, url):
    return make("2", session=session.Session(auth=Token(url, "t")))


KINDS = (over_requests, over_session, over_catalogue)
