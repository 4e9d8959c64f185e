"""The configuration of a service: its values, their text forms and their sources."""

from .keystone import TokenSource
from .load import load_config
from .options import Config
from .retry_policy import RetryPolicy
from .server import Server, parse_servers

__all__ = ["Config", "RetryPolicy", "Server", "TokenSource", "load_config", "parse_servers"]
