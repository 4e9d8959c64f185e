"""A program that reads an image by nova's own code, again and again, until its input ends.

Its only lines about observation are those that switch it on. Arguments: the image, and the servers.
"""

import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import nova.conf
from nova import context
from nova.image import glance

sys.path.append(str(Path(__file__).parents[4]))

from traced_image.exporter.environment import start_from_environment
from traced_image.instrumentation import GlanceInstrumentor

GlanceInstrumentor().instrument()
start_from_environment()

image, *servers = sys.argv[1:]
nova.conf.CONF([], project="nova", default_config_files=[])
nova.conf.CONF.set_override("api_servers", servers, "glance")
nova.conf.CONF.set_override("num_retries", 1, "glance")


def read():
    """Read the image's record, as nova-api does."""
    request = context.RequestContext("user", "project", auth_token="t")
    while True:
        with suppress(Exception):
            glance.API().get(request, image)
        time.sleep(0.1)


for _ in range(4):  # nova waits a second after a failure
    threading.Thread(target=read, daemon=True).start()
sys.stdin.read()
