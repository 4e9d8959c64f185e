"""The client of the API v2."""

from glanceclient.common import http
from glanceclient.v2 import image_members, image_tags, images, schemas


class Client:
    def __init__(self, endpoint=None, **kwargs):
        self.http_client = http.get_http_client(endpoint=endpoint, **kwargs)
        self.schemas = schemas.Controller(self.http_client)
        self.images = images.Controller(self.http_client, self.schemas)
        self.image_tags = image_tags.Controller(self.http_client, self.schemas)
        self.image_members = image_members.Controller(self.http_client, self.schemas)
