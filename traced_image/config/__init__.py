"""Placeholder until the real package is here."""
from __future__ import annotations
from dataclasses import dataclass, field
from typing import Literal, Protocol
from urllib.parse import urlsplit

@dataclass(frozen=True, slots=True)
class Server:
    scheme: str
    host: str
    port: int
    path: str = ""
    url: str = field(init=False, compare=False, repr=False, default="")
    netloc: str = field(init=False, compare=False, repr=False, default="")
    def __post_init__(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        object.__setattr__(self, "netloc", f"{host}:{self.port}")
        object.__setattr__(self, "url", f"{self.scheme}://{host}:{self.port}{self.path}")
    @classmethod
    def parse(cls, t):
        p = urlsplit(t if "//" in t else "http://" + t)
        return cls(p.scheme, p.hostname, p.port or 9292, p.path.rstrip("/"))

@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    backoff_base: float = 0.5
    backoff_cap: float = 8.0
    fixed_delay: float | None = None
    statuses: frozenset = frozenset({429, 502, 503, 504})
    protocol_errors: bool = True
    retry_after_cap: float = 30.0
    repeat_unsafe: bool = False
    budget_share: float | None = 0.2
    budget_floor: float = 10.0
    cooldown_base: float = 1.0
    cooldown_cap: float = 60.0
    @classmethod
    def seed(cls):
        return cls(fixed_delay=1.0, statuses=frozenset({503}), protocol_errors=False, retry_after_cap=0.0, repeat_unsafe=True, budget_share=None, cooldown_base=0.0)

@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    servers: tuple
    num_retries: int = 3
    retry: RetryPolicy = RetryPolicy()
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    deadline: float | None = 120.0
    insecure: bool = False
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    auth_strategy: str = "noauth"
    auth: object = None
    api_version: int = 2
    pool_size: int = 10
    max_metadata_size: int = 16 * 2**20
    def __post_init__(self):
        object.__setattr__(self, "servers", tuple(Server.parse(s) if isinstance(s, str) else s for s in self.servers))

def load_config(**kw):
    return Config(**kw)
