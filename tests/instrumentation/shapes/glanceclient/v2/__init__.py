"""The API v2."""
