"""Servers: every form they may be written in, and every one that is refused."""

import copy
import logging
import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from traced_image.config import Server, parse_servers
from traced_image.errors import InvalidServer

LONG_NAME = ".".join(["a" * 63] * 4)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("glance", "http://glance:9292"),
        ("Glance-1.Example", "http://glance-1.example:9292"),
        ("glance.example.", "http://glance.example.:9292"),
        ("glance_api", "http://glance_api:9292"),
        ("glance:80", "http://glance:80"),
        ("glance:09292", "http://glance:9292"),
        ("glance/image", "http://glance:9292/image"),
        ("10.0.0.1", "http://10.0.0.1:9292"),
        ("10.0.0.1:1", "http://10.0.0.1:1"),
        ("10.0.0.1:65535", "http://10.0.0.1:65535"),
        ("fd00::3", "http://[fd00::3]:9292"),
        ("FD00:0:0::3", "http://[fd00::3]:9292"),
        ("[fd00::3]", "http://[fd00::3]:9292"),
        ("[fd00::3]:80", "http://[fd00::3]:80"),
        ("fd00::3/image", "http://[fd00::3]:9292/image"),
        ("http://glance", "http://glance:80"),
        ("https://glance", "https://glance:443"),
        ("HTTPS://Glance:9292/", "https://glance:9292"),
        ("https://glance.example/image", "https://glance.example:443/image"),
        ("https://glance/a/B-c.d~e//", "https://glance:443/a/B-c.d~e"),
        ("http://[fd00::3]/image", "http://[fd00::3]:80/image"),
        ("http://[fd00::3:9292]", "http://[fd00::3:9292]:80"),
        ("fd00::cafe", "http://[fd00::cafe]:9292"),
        ("1:2:3:4:5:6:7:8", "http://[1:2:3:4:5:6:7:8]:9292"),
        ("http://glance/v2", "http://glance:80"),
        ("http://glance/v1/", "http://glance:80"),
        ("http://glance/image/v2.15", "http://glance:80/image"),
        ("http://glance/v2/v2", "http://glance:80"),
        ("http://glance/v3", "http://glance:80/v3"),
        ("http://glance/av2", "http://glance:80/av2"),
        ("bücher.example", "http://xn--bcher-kva.example:9292"),
        ("\uff27LANCE.example:1", "http://glance.example:1"),
        ("xn--bcher-kva.example", "http://xn--bcher-kva.example:9292"),
    ],
)
def test_a_form_is_read(text, url):
    assert url == Server.parse(text).url


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is empty"),
        (None, "NoneType is not text"),
        (b"glance", "bytes is not text"),
        ("a" * 3000, "too long"),
        (LONG_NAME, "is not a host name"),
        ("é" * 300, "is not a host name"),
        ("a" * 64, "is not a host name"),
        ("ftp://glance", "'ftp' is not a known scheme"),
        ("://glance", "'' is not a known scheme"),
        ("//glance", "names no host"),
        ("http://", "names no host"),
        ("http:///image", "names no host"),
        (":9292", "names no host"),
        ("glance:", "what follows the colon (not shown) is not a port"),
        ("glance:x", "what follows the colon (not shown) is not a port"),
        ("glance:0", "0 is not a port"),
        ("glance:65536", "65536 is not a port"),
        ("glance:999999", "is not a port"),
        ("glance:-1", "is not a port"),
        ("glance:\uff11", "is not a port"),
        ("[fd00::3]:x", "is not a port"),
        (" glance", "space or control character"),
        ("gla nce", "space or control character"),
        ("glance\n", "space or control character"),
        ("gla\u200bnce", "space or control character"),
        ("\ud800", "space or control character"),
        ("glance?a=b", "'glance' has a query or fragment"),
        ("http://glance/image#x", "remove everything from # on"),
        ("glance/../x", "the path '/../x' can't be used"),
        ("glance/x/.", "the path '/x/.' can't be used"),
        ("glance//x", "the path '//x' can't be used"),
        ("glance/%2e%2e", "the path"),
        ("glance/x;y", "the path"),
        ("glance/é", "the path"),
        ("gla*nce", "is not a host name"),
        ("-glance", "is not a host name"),
        ("glance..example", "is not a host name"),
        (".", "is not a host name"),
        ("9292", "is not an IPv4 address"),
        ("10.0.0.300", "is not an IPv4 address"),
        ("10.0.0", "is not an IPv4 address"),
        ("10.0.0.01", "is not an IPv4 address"),
        ("10.0.0.1.", "is not an IPv4 address"),
        ("0x7f.0x1", "is not an IPv4 address"),
        ("[::1", "'[::1' is not a host and port"),
        ("[::1]9292", "is not a host and port"),
        ("::1]:9292", "is not an IPv6 address"),
        ("[glance]:9292", "'glance' is not an IPv6 address"),
        ("1:2:3:4:5:6:7:8:9292", "[address]:port for IPv6"),
        ("http://fd00::3", "'fd00::3' is an IPv6 address without brackets; write [fd00::3]."),
        ("https://fd00::3/image", "write [fd00::3]."),
        (
            "http://fd00::2:9292",
            "without brackets; write [fd00::2]:9292, or [fd00::2:9292] if that is the whole",
        ),
        ("fd00::2:9292", "write [fd00::2]:9292, or [fd00::2:9292] if"),
        ("fd00::2:9292/image", "write [fd00::2]:9292, or [fd00::2:9292] if"),
        ("::1:80", "write [::1]:80, or [::1:80] if"),
        ("fe80::1%eth0", "has an IPv6 zone"),
        ("[fe80::1%25eth0]:9292", "has an IPv6 zone"),
        ("\u0338a", "is not an internationalized host name"),
        ("xn--é", "is not an internationalized host name"),
    ],
)
def test_what_is_no_server_is_refused(text, told):
    with pytest.raises(InvalidServer) as caught:
        Server.parse(text)
    assert told in str(caught.value)


CREDENTIALS = [
    "http://admin:s3cret@glance",
    "admin:s3cret@glance:9292",
    "http://s3cret@glance",
    "http://admin:s3cret%40glance",
    "http://admin:s3cret\uff20glance",
    "http://admin:s3/c@ret@glance",
    "http://admin:s3cret@",
    "http://admin:s3cret@glance?a#b",
]


@pytest.mark.parametrize("text", CREDENTIALS)
def test_credentials_are_refused(text):
    with pytest.raises(InvalidServer, match="carries credentials"):
        Server.parse(text)


@pytest.mark.parametrize("text", [*CREDENTIALS, "http://glance?password=s3cret"])
def test_a_refusal_shows_no_secret(text):
    with pytest.raises(InvalidServer) as caught:
        Server.parse(text)
    assert "s3" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "http://admin:s3cret",
        "admin:s3cret",
        "http://:s3cret",
        "http://admin:s3cret/image",
        "http://admin:s3%2540glance",
        "http://admin:s3:cret",
        "http://admin:s3 cret",
        "http://:s3 cret",
        "http://admin:s3]cret",
        "http://admin:12345s3",
        "http://admin:s3cret?a",
        "http://admin:s3cret#a",
        "http://admin:" + "s3cret" * 500,
    ],
)
def test_a_password_that_no_host_follows_is_not_shown(text):
    with pytest.raises(InvalidServer) as caught:
        Server.parse(text)
    assert "s3" not in str(caught.value)


def test_a_port_is_shown_with_what_is_wrong_beside_it():
    with pytest.raises(InvalidServer, match="'http://glance:80/image' has a query"):
        Server.parse("http://glance:80/image?a")


def test_an_error_names_item_source_and_mend():
    with pytest.raises(InvalidServer) as caught:
        Server.parse("ftp://glance", "TRACED_IMAGE_SERVERS", item="servers[1]")
    assert (
        "servers[1] (from TRACED_IMAGE_SERVERS): 'ftp' is not a known scheme; use http or https."
        == (str(caught.value))
    )


def test_a_server_is_shown_as_its_url():
    assert "https://[fd00::3]:1/image" == str(Server("https", "fd00::3", 1, "/image"))


def test_the_address_of_an_ipv6_server_has_brackets():
    assert "[fd00::3]:9292" == Server("http", "fd00::3", 9292).netloc


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (("ftp", "glance", 9292), "is not a known scheme"),
        (("http", "Glance", 9292), "is not a host name"),
        (("http", "[fd00::3]", 9292), "is not an IPv6 address"),
        (("http", "fd00:0::3", 9292), "write fd00::3"),
        (("http", "glance", True), "True is not a port"),
        (("http", "glance", 9292, "/image/"), "the path"),
        (("http", "glance", 9292, "image"), "the path"),
        (("http", "glance", 9292, "/v2"), "without the API's version"),
    ],
)
def test_fields_of_another_form_are_refused(fields, told):
    with pytest.raises(InvalidServer) as caught:
        Server(*fields)
    assert told in str(caught.value)


def test_equal_servers_are_one_key():
    assert {Server.parse("http://GLANCE:80/v2/"): 1} == {Server.parse("glance:80"): 1}


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_a_copy_is_equal(again):
    server = Server.parse("https://glance/image")
    assert (again(server), again(server).url) == (server, server.url)


def test_text_has_commas_between_servers():
    expected = (Server("http", "a", 9292), Server("http", "b", 80))
    assert expected == parse_servers(" a, \nhttp://b ")


def test_a_list_may_mix_text_and_servers():
    expected = (Server("http", "a", 9292), Server("http", "b", 9292))
    assert expected == parse_servers(iter([Server("http", "a", 9292), "b"]))


def test_a_server_that_is_there_twice_is_kept_once():
    assert parse_servers(["b", "a", "http://b:9292/v2"]) == parse_servers(["b", "a"])


def test_a_server_that_is_there_twice_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING, "traced_image.config"):
        parse_servers(["b", "a", "b:9292"], "nova.conf")
    expected = "servers[2] (from nova.conf): http://b:9292 is listed twice; the second is ignored"
    assert expected in caplog.messages


@pytest.mark.parametrize("text", ["a:1,http://b,", ",a:1,http://b", "a:1, ,\n http://b ,,"])
def test_an_empty_member_of_a_text_does_not_count(text):
    assert parse_servers(["a:1", "http://b"]) == parse_servers(text)


@pytest.mark.parametrize("servers", [[], (), "", "  ", ",", " , ,", iter([])])
def test_an_empty_list_is_refused(servers):
    with pytest.raises(InvalidServer, match="no server is configured"):
        parse_servers(servers)


@pytest.mark.parametrize("servers", [None, 5, b"glance", bytearray(b"glance")])
def test_what_is_no_list_is_refused(servers):
    with pytest.raises(InvalidServer, match="is not a list of servers"):
        parse_servers(servers)


@pytest.mark.parametrize(
    ("servers", "item"), [(["a", ""], "servers[1]"), ("a,b*", "servers[1]"), ([7], "servers[0]")]
)
def test_a_bad_member_is_named_by_its_place(servers, item):
    with pytest.raises(InvalidServer) as caught:
        parse_servers(servers)
    assert item == caught.value.item


def test_a_password_with_a_comma_is_not_shown():
    with pytest.raises(InvalidServer) as caught:
        parse_servers("http://admin:s3,cret@glance")
    assert not {"s3", "cret@"} & set(str(caught.value).replace("'", " ").split())


# --- by Hypothesis -----------------------------------------------------------------------------

MESSY = st.lists(
    st.sampled_from(
        [*"[]:/?#@.,%-_ \x00", "http", "https", "://", "//", "..", "v2", "::", "fd00", "1", "300"]
    )
    | st.text(max_size=3),
    max_size=12,
).map("".join)


@given(st.text(max_size=60) | MESSY)
@example("a" * 254)
@example("xn--\u0628")
def test_any_text_is_read_or_refused(text):
    try:
        server = Server.parse(text)
    except InvalidServer:
        return
    assert server == Server.parse(str(server))


@given(st.lists(MESSY, max_size=3) | MESSY)
def test_any_list_is_read_or_refused(servers):
    try:
        found = parse_servers(servers)
    except InvalidServer:
        return
    assert found == parse_servers([str(server) for server in found])


PASSWORDS = st.text(st.sampled_from("aZ9!:/?#,@%$ é"), min_size=1, max_size=12)


@given(
    st.sampled_from(["", "http://", "https://", "ftp://"]),
    PASSWORDS,
    st.sampled_from(["glance", "[::1]", "", "glance:9292"]),
)
def test_no_error_shows_a_password(scheme, password, host):
    text = f"{scheme}user:<{password}>@{host}"
    for servers in (text, [text], text.split(",")):
        with pytest.raises(InvalidServer) as caught:
            parse_servers(servers)
        assert "<" not in str(caught.value)
