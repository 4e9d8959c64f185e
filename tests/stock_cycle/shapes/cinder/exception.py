"""The errors of cinder's client of Glance."""


class GlanceConnectionFailed(Exception):  # noqa: N818
    code = 500

    def __init__(self, reason):
        super().__init__(f"Connection to glance failed: {reason}")


class ImageLimitExceeded(Exception):  # noqa: N818
    code = 413
