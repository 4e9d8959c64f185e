"""The errors, whose HTTP statuses are those of ironic's own API."""


class IronicException(Exception):  # noqa: N818
    """Any error."""

    _msg_fmt = "An unknown exception occurred."
    code = 500

    def __init__(self, message=None, **kwargs):
        super().__init__(str(message) if message else self._msg_fmt % kwargs)


class Invalid(IronicException):
    """An argument can't be used."""

    _msg_fmt = "Unacceptable parameters."
    code = 400


class ImageNotFound(IronicException):
    """There is no such image."""

    _msg_fmt = "Image %(image_id)s could not be found."
    code = 404


class ImageNotAuthorized(IronicException):
    """Glance refuses the image."""

    _msg_fmt = "Not authorized for image %(image_id)s."
    code = 403


class GlanceConnectionFailed(IronicException):
    """Glance can't be reached."""

    _msg_fmt = "Connection to glance endpoint %(endpoint)s failed: %(reason)s"
