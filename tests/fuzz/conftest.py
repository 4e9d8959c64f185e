"""The fixture of a part's operations, which several tests judge."""

import pytest
from fuzz_parts import fuzz


@pytest.fixture(scope="module")
def fuzzed(request):
    return fuzz(request.param)
