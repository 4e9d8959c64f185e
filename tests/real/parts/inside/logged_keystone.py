"""Keystone's application with an access log."""

from keystone.wsgi.api import application as keystone
from logged import Logged

application = Logged(keystone, "OS_KEYSTONE_CONFIG_DIR")
