"""The errors: each has an HTTP status of its own."""


class CinderException(Exception):  # noqa: N818
    message = "An unknown exception occurred."
    code = 500

    def __init__(self, message=None, **kwargs):
        super().__init__(message or self.message % kwargs)


class GlanceConnectionFailed(CinderException):
    message = "Connection to glance failed: %(reason)s"
