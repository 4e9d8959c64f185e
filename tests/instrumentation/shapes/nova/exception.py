"""The errors: each has an HTTP status of its own."""


class NovaException(Exception):  # noqa: N818
    msg_fmt = "An unknown exception occurred."
    code = 500

    def __init__(self, message=None, **kwargs):
        super().__init__(message or self.msg_fmt % kwargs)


class CouldNotFetchImage(NovaException):
    msg_fmt = "Could not fetch image %(image_id)s"


class GlanceConnectionFailed(NovaException):
    msg_fmt = "Connection to glance host %(server)s failed: %(reason)s"
