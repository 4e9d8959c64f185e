"""The errors: of a server that can't be reached, and of HTTP statuses."""


class BaseException(Exception):  # noqa: A001, N818
    def __init__(self, message=None):
        self.message = message

    def __str__(self):
        return self.message or self.__class__.__doc__


class InvalidEndpoint(BaseException):
    """The provided endpoint is invalid."""


class CommunicationError(BaseException):
    """Unable to communicate with server."""


class HTTPException(Exception):  # noqa: N818
    """An HTTP status that says that a request failed."""

    code = "N/A"

    def __init__(self, details=None):
        self.details = details or self.__class__.__name__

    def __str__(self):
        return f"HTTP {self.code} {self.details}"


class HTTPBadRequest(HTTPException):
    code = 400


class HTTPNotFound(HTTPException):
    code = 404


class HTTPServiceUnavailable(HTTPException):
    code = 503


def from_response(response, body=None):
    kinds = {kind.code: kind for kind in HTTPException.__subclasses__()}
    error = kinds.get(response.status_code, HTTPException)(details=response.reason)
    error.code = response.status_code
    return error
