"""A small python-glanceclient of the same shape as the real one, for tests of its adapter."""

from glanceclient.client import Client

__all__ = ["Client"]
