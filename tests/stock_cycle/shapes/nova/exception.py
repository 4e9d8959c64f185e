"""The one error of nova's client of Glance."""


class GlanceConnectionFailed(Exception):  # noqa: N818
    code = 500

    def __init__(self, **kwargs):
        super().__init__(f"Connection to glance host {kwargs['server']} failed: {kwargs['reason']}")
