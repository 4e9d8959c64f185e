"""nova's own image service as a WSGI application; it runs inside nova's environment.

A request's body is JSON: `servers`, `context`, `method`, `args` and `kwargs`. The answer is the
tagged value that `GlanceImageServiceV2` returned, or the type and the message of what it raised.
"""

import json
import os
import threading

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"

import nova.conf
from keystoneauth1 import noauth
from nova import context, objects
from nova.image import glance
from tagged import tagged

nova.conf.CONF([], project="nova", default_config_files=[])
objects.register_all()
# The list of servers is global to nova.
_one_at_a_time = threading.Lock()


def application(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    answer = _call(**json.loads(environ["wsgi.input"].read(length))) if length else {}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


def _call(*, servers, context, method, args, kwargs):
    with _one_at_a_time:
        nova.conf.CONF.set_override("api_servers", list(servers), group="glance")
        operation = getattr(glance.GlanceImageServiceV2(), method)
        try:
            return {"value": tagged(operation(_context(context), *args, **kwargs))}
        except Exception as error:  # noqa: BLE001 - whatever nova raises is its answer
            return {
                "raised": f"{type(error).__module__}.{type(error).__name__}",
                "text": str(error),
            }


def _context(attributes):
    # Without a token nova needs a plugin; Glance without Keystone ignores what this one sends.
    return context.RequestContext(
        user_auth_plugin=None if attributes.get("auth_token") else noauth.NoAuth(), **attributes
    )
