"""The version of the package, as it is told to servers and to whoever keeps spans."""

from importlib import metadata

import pytest

from traced_image import _version


@pytest.fixture
def anew():
    """The version is read again, before and after a test."""
    _version.find_version.cache_clear()
    yield
    _version.find_version.cache_clear()


def test_the_version_is_read_once(anew, monkeypatch):
    first = _version.find_version()
    monkeypatch.setattr(metadata, "version", lambda _: "2")
    assert (metadata.distribution("traced-image").version, first) == (
        first,
        _version.find_version(),
    )


def test_a_package_that_is_not_installed_has_no_version(anew, monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert "traced-image/unknown" == _version.make_user_agent()
