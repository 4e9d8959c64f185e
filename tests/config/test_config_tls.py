"""Certificate files: read before the first request, and refused by name."""

import logging
import os
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from traced_image.config import Config
from traced_image.errors import InvalidTLS


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """Paths of a CA, of certificates and keys, and of files that are neither."""
    folder = tmp_path_factory.mktemp("pem")
    ca = trustme.CA()
    one, other = ca.issue_cert("one.example"), ca.issue_cert("other.example")
    key = serialization.load_pem_private_key(one.private_key_pem.bytes(), None)
    files = {
        "ca": ca.cert_pem.bytes(),
        "cert": one.cert_chain_pems[0].bytes(),
        "key": one.private_key_pem.bytes(),
        "both": one.private_key_and_cert_chain_pem.bytes(),
        "other_key": other.private_key_pem.bytes(),
        "locked_key": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"s3cret"),
        ),
        "empty": b"",
        "text": b"no certificate\n",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {name: str(folder / name) for name in files} | {"folder": str(folder)}


@pytest.mark.parametrize(
    "names",
    [
        {"cafile": "ca"},
        {"certfile": "both"},
        {"certfile": "cert", "keyfile": "key"},
        {"cafile": "ca", "certfile": "both", "keyfile": "both"},
    ],
)
def test_usable_files_are_taken(pem, names):
    files = {name: pem[value] for name, value in names.items()}
    config = Config(servers="a", **files)
    assert files == {name: getattr(config, name) for name in files}


def test_a_path_becomes_text(pem, tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(Path(pem["ca"]).read_bytes())
    assert str(path) == Config(servers="a", cafile=path).cafile


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({"cafile": "folder"}, "can't be read: Is a directory"),
        ({"cafile": "empty"}, "no usable certificate"),
        ({"cafile": "text"}, "no usable certificate"),
        ({"cafile": "key"}, "no usable certificate"),
        ({"certfile": "text"}, "can't be used"),
        ({"certfile": "cert"}, "can't be used"),
        ({"certfile": "cert", "keyfile": "other_key"}, "can't be used: KEY_VALUES_MISMATCH"),
        ({"certfile": "cert", "keyfile": "text"}, "can't be used"),
        ({"certfile": "cert", "keyfile": "locked_key"}, "can't be used: the key has a passphrase"),
        ({"keyfile": "key"}, "set without certfile"),
    ],
)
def test_files_that_can_not_be_used_are_refused(pem, names, told):
    with pytest.raises(InvalidTLS) as caught:
        Config(servers="a", **{name: pem[value] for name, value in names.items()})
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["cafile", "certfile", "keyfile"])
@pytest.mark.parametrize("value", ["", "/no/such/file", "a\0b", 7, True])
def test_what_is_no_file_is_refused(name, value):
    with pytest.raises(InvalidTLS) as caught:
        Config(servers="a", **{name: value})
    assert name == caught.value.item


def test_a_file_of_somebody_else_is_refused(tmp_path):
    path = tmp_path / "ca.pem"
    path.touch(mode=0)
    if os.geteuid() == 0:
        path = tmp_path / "ca.pem" / "below"
    with pytest.raises(InvalidTLS, match="can't be read"):
        Config(servers="a", cafile=path)


def test_an_unused_ca_is_warned_of(pem, caplog):
    with caplog.at_level(logging.WARNING, "traced_image.config"):
        Config(servers="a", cafile=pem["ca"], insecure=True)
    assert [
        "cafile is ignored because insecure=True turns certificate checks off"
    ] == caplog.messages
