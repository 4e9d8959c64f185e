"""The tags of an image."""

from glanceclient.common import utils


class Controller:
    def __init__(self, http_client, schema_client):
        self.http_client = http_client
        self.schema_client = schema_client

    @utils.add_req_id_to_object()
    def update(self, image_id, tag_value):
        resp, body = self.http_client.put(f"/v2/images/{image_id}/tags/{tag_value}")
        return (resp, body), resp
