"""How far the data of an upload was read, over all attempts of a service's call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .patching import Foreign


@dataclass(slots=True)
class UploadProgress:
    """How far the data of an upload was read.

    Attributes:
        data: The data, as the caller gave it.
        start: Where the first attempt began to read, as `tell` says it; None if unknown.
        read: Bytes that were read to be sent.
    """

    data: Foreign
    start: object = None
    read: int = 0
