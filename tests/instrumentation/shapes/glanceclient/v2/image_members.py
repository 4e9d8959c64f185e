"""The projects that see an image."""

from glanceclient.common import utils


class Controller:
    def __init__(self, http_client, schema_client):
        self.http_client = http_client
        self.schema_client = schema_client

    @utils.add_req_id_to_generator()
    def list(self, image_id):
        resp, body = self.http_client.get(f"/v2/images/{image_id}/members")
        for member in body["members"]:
            yield member, resp

    @utils.add_req_id_to_object()
    def create(self, image_id, member_id):
        resp, member = self.http_client.post(
            f"/v2/images/{image_id}/members", data={"member": member_id}
        )
        return member, resp
