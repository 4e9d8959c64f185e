"""A WSGI service that gets an image as nova does: ``application``, or alone under nova's eventlet.

Run by test_instrumentation_services.py, which names the servers and an image in the environment.
"""

import os
import sys

if __name__ == "__main__":
    os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "false"
    from nova import monkey_patch

    # That of nova 31 has done it when it is imported.
    getattr(monkey_patch, "patch", bool)()

import nova.conf
from nova.context import RequestContext
from nova.image import glance

CONF = nova.conf.CONF
CONF([], project="nova", default_config_files=[])
CONF.set_override("api_servers", os.environ["GLANCE_SERVERS"].split(), "glance")


def application(environ, start_response):
    context = RequestContext("user", "project", auth_token="t")
    image = glance.API().get(context, os.environ["IMAGE"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode() if image["id"] == os.environ["IMAGE"] else b""]


if __name__ == "__main__":
    import eventlet
    from eventlet import wsgi

    wsgi.server(eventlet.listen(("127.0.0.1", int(sys.argv[1]))), application, log_output=False)
