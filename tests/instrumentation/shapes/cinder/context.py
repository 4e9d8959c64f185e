"""The context of a request: whose it is."""

from keystoneauth1 import noauth


class RequestContext:
    def __init__(self, user_id=None, project_id=None, **kwargs):
        self.global_id = "req-1"
        self.service_catalog = kwargs.get("service_catalog") or []
        self.user_auth_plugin = kwargs.get("user_auth_plugin")

    def get_auth_plugin(self):
        return self.user_auth_plugin or noauth.NoAuth()
