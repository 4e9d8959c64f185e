"""The operations of Glance's API v1 and v2: their requests and the meaning of the replies."""
