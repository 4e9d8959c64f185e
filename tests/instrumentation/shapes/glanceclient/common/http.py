"""The two HTTP clients: over requests, and over a session of keystoneauth1."""

import json

import requests
from keystoneauth1 import adapter
from keystoneauth1 import exceptions as ksa_exc

from glanceclient import exc

CHUNKSIZE = 1024 * 1024


class _BaseHTTPClient:
    @staticmethod
    def _chunk_body(body):
        chunk = body
        while chunk:
            chunk = body.read(CHUNKSIZE)
            if not chunk:
                break
            yield chunk

    def _set_common_request_kwargs(self, headers, kwargs):
        content_type = headers.get("Content-Type", "application/octet-stream")
        data = kwargs.pop("data", None)
        if data is not None and not isinstance(data, str):
            try:
                data = json.dumps(data)
                content_type = "application/json"
            except TypeError:
                data = self._chunk_body(data)
        headers["Content-Type"] = content_type
        kwargs["stream"] = content_type == "application/octet-stream"
        return data

    def _handle_response(self, resp):
        if not resp.ok:
            raise exc.from_response(resp, resp.content)
        content_type = resp.headers.get("Content-Type", "")
        if content_type == "application/octet-stream":
            return resp, _close_after_stream(resp, CHUNKSIZE)
        return resp, resp.json() if content_type.startswith("application/json") else None


class HTTPClient(_BaseHTTPClient):
    def __init__(self, endpoint, **kwargs):
        self.endpoint = endpoint
        self.auth_token = kwargs.get("token")
        self.session = requests.Session()
        self.timeout = float(kwargs.get("timeout", 600))

    def _request(self, method, url, **kwargs):
        headers = dict(kwargs.pop("headers", {}))
        data = self._set_common_request_kwargs(headers, kwargs)
        headers["X-Auth-Token"] = self.auth_token
        conn_url = self.endpoint + url
        try:
            resp = self.session.request(
                method, conn_url, data=data, headers=headers, timeout=self.timeout, **kwargs
            )
        except requests.exceptions.Timeout as e:
            raise exc.InvalidEndpoint(message=f"Error communicating with {conn_url}: {e}")  # noqa: B904
        except requests.exceptions.ConnectionError as e:
            raise exc.CommunicationError(message=f"Error finding address for {conn_url}: {e}")  # noqa: B904
        except OSError as e:
            raise exc.CommunicationError(message=f"Error communicating: {e}")  # noqa: B904
        return self._handle_response(resp)

    def get(self, url, **kwargs):
        return self._request("GET", url, **kwargs)

    def post(self, url, **kwargs):
        return self._request("POST", url, **kwargs)

    def put(self, url, **kwargs):
        return self._request("PUT", url, **kwargs)

    def patch(self, url, **kwargs):
        return self._request("PATCH", url, **kwargs)

    def delete(self, url, **kwargs):
        return self._request("DELETE", url, **kwargs)


def _close_after_stream(response, chunk_size):
    yield from response.iter_content(chunk_size=chunk_size)
    response.close()


class SessionClient(adapter.Adapter, _BaseHTTPClient):
    def __init__(self, session, **kwargs):
        kwargs.setdefault("service_type", "image")
        super().__init__(session, **kwargs)

    def request(self, url, method, **kwargs):
        headers = kwargs.pop("headers", {})
        kwargs["raise_exc"] = False
        data = self._set_common_request_kwargs(headers, kwargs)
        try:
            resp = super().request(url, method, headers=headers, data=data, **kwargs)
        except ksa_exc.ConnectTimeout as e:
            conn_url = self.get_endpoint(auth=kwargs.get("auth"))
            raise exc.InvalidEndpoint(message=f"Error communicating with {conn_url}: {e}")  # noqa: B904
        except ksa_exc.ConnectFailure as e:
            conn_url = self.get_endpoint(auth=kwargs.get("auth"))
            raise exc.CommunicationError(message=f"Error finding address for {conn_url}: {e}")  # noqa: B904
        return self._handle_response(resp)


def get_http_client(endpoint=None, session=None, **kwargs):
    return SessionClient(session, **kwargs) if session else HTTPClient(endpoint, **kwargs)
