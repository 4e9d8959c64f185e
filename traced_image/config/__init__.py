"""The configuration of a service: its values, their text forms and their sources."""

from .config import Config
from .keystone import TokenSource
from .load import load_config
from .retry import RetryPolicy
from .server import Server, parse_servers

__all__ = ["Config", "RetryPolicy", "Server", "TokenSource", "load_config", "parse_servers"]
