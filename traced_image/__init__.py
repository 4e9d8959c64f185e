"""nova's image pipeline to Glance, with every call, every attempt and every host visible."""
from ._connect import connect, get_default_image_service
from .telemetry import Telemetry
