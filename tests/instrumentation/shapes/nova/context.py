"""The context of a request: whose it is."""

from keystoneauth1 import exceptions, plugin


class _ContextAuthPlugin(plugin.BaseAuthPlugin):
    def __init__(self, auth_token, sc):
        super().__init__()
        self.auth_token = auth_token
        self.service_catalog = sc

    def get_token(self, *args, **kwargs):
        return self.auth_token

    def get_endpoint(self, session, service_type=None, **kwargs):
        for entry in self.service_catalog:
            if entry["type"] == service_type:
                return entry["endpoints"][0]["publicURL"]
        raise exceptions.EndpointNotFound(f"{service_type} not found")


class RequestContext:
    def __init__(self, user_id=None, project_id=None, **kwargs):
        self.global_id = "req-1"
        self.auth_token = kwargs.get("auth_token")
        self.service_catalog = kwargs.get("service_catalog") or []
        self.user_auth_plugin = kwargs.get("user_auth_plugin")

    def get_auth_plugin(self):
        return self.user_auth_plugin or _ContextAuthPlugin(self.auth_token, self.service_catalog)
