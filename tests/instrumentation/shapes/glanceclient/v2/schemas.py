"""The schemas of records."""


class Schema:
    def __init__(self, raw_schema):
        self.name = raw_schema["name"]


class Controller:
    def __init__(self, http_client):
        self.http_client = http_client

    def get(self, schema_name):
        _, raw_schema = self.http_client.get(f"/v2/schemas/{schema_name}")
        return Schema(raw_schema)
