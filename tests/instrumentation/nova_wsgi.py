"""A small WSGI application that reads images by nova's own code; it knows nothing of this package.

As a program, it reads the image that its argument names, and prints the metrics.
"""

import os
import random
import sys

import nova.conf
from nova import context
from nova.image import glance
from prometheus_client import generate_latest

nova.conf.CONF([], project="nova", default_config_files=[os.environ["NOVA_CONF"]])
random.seed(int(os.environ["SEED"]))  # the order of the servers


def read(image):
    """Read an image and its data as nova-api and nova-compute do; return the metrics."""
    api, request = glance.API(), context.RequestContext("user", "project", auth_token="t")
    api.get(request, image)
    list(api.download(request, image))
    return generate_latest()


def application(environ, start_response):
    body = read(environ["PATH_INFO"].strip("/"))
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Worker", str(os.getpid()))])
    return [body]


if __name__ == "__main__":
    sys.stdout.buffer.write(read(sys.argv[1]))
