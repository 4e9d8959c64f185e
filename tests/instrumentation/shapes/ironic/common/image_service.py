"""The image services; this module is imported before the one of Glance's."""

from ironic.common.glance_service.image_service import GlanceImageService

__all__ = ["GlanceImageService"]
