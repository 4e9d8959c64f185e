"""Glance's application with an access log."""

from glance.wsgi.api import application as glance
from logged import Logged

application = Logged(glance, "OS_GLANCE_CONFIG_DIR")
