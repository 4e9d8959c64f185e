"""The image service's endpoint in Keystone's catalogue (extra ``keystone`` or ``oslo``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystoneauth1.exceptions import ClientException, EndpointNotFound

from ..errors import InvalidAuth

if TYPE_CHECKING:
    from .layers import Lookup
    from .tokens import PluginTokens


def image_endpoint(tokens: PluginTokens, lookup: Lookup, region: str | None, source: str) -> str:
    """Ask Keystone for the catalogue, and return the image service's URL in it.

    Args:
        tokens: Whose catalogue.
        lookup: Which of its endpoints.
        region: In which region; None for any.
        source: Where the credentials came from, for the error.

    Raises:
        InvalidAuth: Keystone gave no catalogue, or there is no such endpoint in it.
    """
    mend = "correct the credentials and the region, or list the servers"
    try:
        endpoint = tokens.endpoint(lookup, region)
    except EndpointNotFound:
        endpoint = None
    except ClientException as error:
        problem = f"Keystone gave no catalogue: {error}".rstrip(".")
        raise InvalidAuth("auth", problem, source=source, mend=mend) from error
    if endpoint is None:
        where = f"region {region}" if region else "any region"
        problem = f"the catalogue has no {' or '.join(lookup.interfaces)} image endpoint in {where}"
        raise InvalidAuth("auth", problem, source=source, mend=mend)
    return endpoint
