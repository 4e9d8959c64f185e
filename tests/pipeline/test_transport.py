"""Transports: TLS settings, what the environment says, proxies, forks, and an end that is none."""

import base64
import datetime as dt
import gc
import ssl
import time

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from loopback import Loopback, closing, conversation, get, read_request, reply, sent
from support import in_child

from traced_image import Config, lab
from traced_image.errors import CommunicationError, InvalidOption, InvalidTLS, TLSError
from traced_image.pipeline.api import v2
from traced_image.pipeline.http import connection
from traced_image.pipeline.http.transport import make_tls_context

JSON = reply(200, b"{}")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """An environment that says nothing of proxies and authorities."""
    for name in (*PROXIES, *map(str.upper, PROXIES), *BUNDLES):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def secure(images, tls):
    with lab.GlanceServer(images, tls=tls) as server:
        yield server


# --- TLS ---------------------------------------------------------------------------------------


def test_a_server_with_a_certificate_of_the_ca_file_is_trusted(secure, tls, image_id, opened):
    assert opened.sender(secure, cafile=tls.cafile)(v2.get(image_id)).status == 200


def test_a_server_with_another_certificate_is_not(secure, image_id, opened):
    with pytest.raises(TLSError):
        opened.sender(secure)(v2.get(image_id))


@pytest.mark.parametrize("name", BUNDLES)
def test_the_environment_names_authorities(secure, tls, image_id, opened, environment, name):
    environment.setenv(name, tls.cafile)
    assert opened.sender(secure)(v2.get(image_id)).status == 200


def test_the_first_variable_wins(secure, tls, image_id, opened, environment):
    environment.setenv("REQUESTS_CA_BUNDLE", tls.cafile)
    environment.setenv("CURL_CA_BUNDLE", "/nowhere")
    assert opened.sender(secure)(v2.get(image_id)).status == 200


def test_the_ca_file_wins_over_the_environment(secure, tls, image_id, opened, environment):
    environment.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    assert opened.sender(secure, cafile=tls.cafile)(v2.get(image_id)).status == 200


def test_authorities_may_be_a_directory(secure, opened, environment, tmp_path):
    environment.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    # OpenSSL looks for files by their hash, and finds none here.
    with pytest.raises(TLSError, match="unable to get local issuer certificate"):
        opened.sender(secure)(get())


def test_authorities_that_are_not_there_are_refused_at_once(secure, opened, environment):
    environment.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(InvalidTLS, match=r"cafile \(from REQUESTS_CA_BUNDLE\): /nowhere/ca.pem"):
        opened.sender(secure)


def test_authorities_that_are_none_are_refused_at_once(secure, opened, environment, tmp_path):
    (tmp_path / "ca.pem").write_text("This is no certificate.")
    environment.setenv("CURL_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with pytest.raises(InvalidTLS, match=r"cafile \(from CURL_CA_BUNDLE\)"):
        opened.sender(secure)


def test_without_tls_nothing_is_read_of_authorities(server, image_id, opened, environment):
    environment.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    assert opened.sender(server)(v2.get(image_id)).status == 200


def test_an_insecure_client_trusts_any_certificate(secure, image_id, opened):
    secure.break_with(lab.faults.untrusted_tls())
    assert opened.sender(secure, insecure=True)(v2.get(image_id)).status == 200


@pytest.fixture
def demanding():
    """A server that wants a client's certificate, and the CA that issues it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    side = type("Side", (), {"known": context})
    with Loopback(conversation(JSON), side) as server:
        yield server, authority


@pytest.fixture
def nameless(tmp_path):
    """The URL of a server with a certificate that names it as it was done before 2000; its CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.timezone.utc)
    day = dt.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(pem, form, serialization.NoEncryption())
    (tmp_path / "ca.pem").write_bytes(certificate.public_bytes(pem))
    (tmp_path / "both.pem").write_bytes(secret + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with Loopback(conversation(JSON), type("Side", (), {"known": context})) as server:
        yield server.url.replace("127.0.0.1", "localhost"), str(tmp_path / "ca.pem")


def test_a_common_name_is_no_name_of_a_server(nameless, opened):
    url, cafile = nameless
    with pytest.raises(TLSError, match="Hostname mismatch"):
        opened.sender(url, cafile=cafile)(get())


def test_tls_is_1_2_or_newer():
    context = make_tls_context(Config(servers=["https://glance"]))
    assert ssl.TLSVersion.TLSv1_2 == context.minimum_version


@pytest.fixture
def files(demanding, tmp_path):
    """The paths of the CA, and of a client's certificate, key, and both in one."""
    _, authority = demanding
    client = authority.issue_cert("nova@example.org")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    client.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    client.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    return {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key", "both")}


def test_a_client_certificate_is_shown(demanding, files, opened):
    cert = {"certfile": files["cert"], "keyfile": files["key"]}
    assert opened.sender(demanding[0], cafile=files["ca"], **cert)(get()).status == 200


def test_a_client_certificate_may_have_its_key_beside_it(demanding, files, opened):
    sender = opened.sender(demanding[0], cafile=files["ca"], certfile=files["both"])
    assert sender(get()).status == 200


def test_a_client_certificate_is_shown_to_an_unchecked_server_too(demanding, files, opened):
    sender = opened.sender(demanding[0], insecure=True, certfile=files["both"])
    assert sender(get()).status == 200


def test_without_its_certificate_a_client_is_refused(demanding, files, opened):
    with pytest.raises(CommunicationError):
        opened.sender(demanding[0], cafile=files["ca"])(get())


# --- proxies -----------------------------------------------------------------------------------


def tunnelling(tls, *says):
    """A proxy that answers CONNECT, and then is the server itself."""
    answer = conversation(*says)

    def talk(proxy, sock, number):
        proxy.asked.append(read_request(sock.makefile("rb", buffering=0)))
        sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with tls.known.wrap_socket(sock, server_side=True) as secured:
            proxy._sockets.append(secured)
            answer(proxy, secured, number)

    proxy = Loopback(talk)
    proxy.asked = []
    return proxy


def test_http_goes_through_a_forwarding_proxy(opened, environment):
    with Loopback(conversation(JSON)) as proxy:
        environment.setenv("http_proxy", proxy.url)
        opened.sender("http://glance.example:9292")(get())
    asked = proxy.requests[0].partition(b"\r\n")[0]
    assert asked == b"GET http://glance.example:9292/v2/images/x HTTP/1.1"


def test_a_proxy_needs_no_scheme(opened, environment):
    with Loopback(conversation(JSON)) as proxy:
        environment.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
        assert opened.sender("http://glance.example")(get()).status == 200


def test_a_proxy_gets_its_password(opened, environment):
    with Loopback(conversation(JSON)) as proxy:
        environment.setenv("http_proxy", f"http://nova:secret@127.0.0.1:{proxy.port}")
        opened.sender("http://glance.example")(get())
    expected = b"Proxy-Authorization: Basic " + base64.b64encode(b"nova:secret")
    assert expected in proxy.requests[0].split(b"\r\n")


def test_https_goes_through_a_tunnel(tls, opened, environment):
    with tunnelling(tls, JSON) as proxy:
        environment.setenv("https_proxy", proxy.url)
        sender = opened.sender("https://127.0.0.1:9292", cafile=tls.cafile)
        sender(get())
    assert proxy.asked[0].startswith(b"CONNECT 127.0.0.1:9292 HTTP/1.")


def test_a_tunnel_is_kept(tls, opened, environment, monkeypatch):
    monkeypatch.setattr(connection, "IDLE_LIMIT", 0.0)
    with tunnelling(tls, JSON) as proxy:
        environment.setenv("https_proxy", proxy.url)
        sender = opened.sender("https://127.0.0.1:9292", cafile=tls.cafile)
        for method in ("GET", "DELETE", "GET"):
            sender(sent(method))
    # A kept connection is too uncertain for the DELETE.
    assert (2, 3) == (len(proxy.asked), len(proxy.requests))


def test_a_tunnel_is_made_anew_after_the_deadline_of_the_call_that_made_it(
    tls, opened, environment
):
    with tunnelling(tls, JSON, closing(), JSON) as proxy:
        environment.setenv("https_proxy", proxy.url)
        sender = opened.sender("https://127.0.0.1:9292", cafile=tls.cafile)
        sender(get(), deadline=0.2)
        time.sleep(0.25)
        assert (sender(get()).status, len(proxy.asked)) == (200, 2)


def test_a_tunnel_keeps_the_token_from_the_proxy(tls, opened, environment):
    with tunnelling(tls, JSON) as proxy:
        environment.setenv("https_proxy", proxy.url)
        sender = opened.sender(
            "https://127.0.0.1:9292", cafile=tls.cafile, auth_strategy="keystone"
        )
        context = type("Context", (), {"auth_token": "TOKEN"})
        sender(get(), context)
    assert (b"TOKEN" in proxy.asked[0], b"TOKEN" in proxy.requests[0]) == (False, True)


def test_a_proxy_that_refuses_connections_was_not_reached(opened, environment):
    with Loopback(conversation(JSON)) as proxy:
        environment.setenv("http_proxy", proxy.url)
        sender = opened.sender("http://glance.example")
    with pytest.raises(CommunicationError) as caught:
        sender(get())
    assert (caught.value.reason, caught.value.reached) == ("proxy_error", False)


def test_a_proxy_that_refuses_a_tunnel_was_not_passed(tls, opened, environment):
    with Loopback(conversation(reply(407))) as proxy:
        environment.setenv("https_proxy", proxy.url)
        sender = opened.sender("https://127.0.0.1:9292", cafile=tls.cafile)
        with pytest.raises(CommunicationError) as caught:
            sender(get())
    assert (caught.value.reason, caught.value.reached) == ("proxy_error", False)


def test_a_tunnel_that_is_not_made_in_time(tls, opened, environment):
    with Loopback(lambda _proxy, sock, _number: sock.makefile("rb").read()) as proxy:
        environment.setenv("https_proxy", proxy.url)
        sender = opened.sender("https://127.0.0.1:9292", cafile=tls.cafile, connect_timeout=0.2)
        with pytest.raises(CommunicationError) as caught:
            sender(get())
    assert (caught.value.reason, caught.value.reached) == ("proxy_error", False)


def test_a_proxy_that_wants_credentials_is_not_the_server(opened, environment):
    with Loopback(conversation(reply(407))) as proxy:
        environment.setenv("http_proxy", proxy.url)
        with pytest.raises(
            CommunicationError, match="its proxy failed: it answered HTTP 407"
        ) as got:
            opened.sender("http://glance.example")(get())
    assert ("proxy_error", False) == (got.value.reason, got.value.reached)


def test_a_server_may_be_spared_the_proxy(server, image_id, opened, environment):
    environment.setenv("http_proxy", "http://127.0.0.1:1")
    environment.setenv("no_proxy", "127.0.0.1")
    assert opened.sender(server)(v2.get(image_id)).status == 200


def test_the_environment_is_read_once(server, image_id, opened, environment):
    sender = opened.sender(server)
    environment.setenv("http_proxy", "http://127.0.0.1:1")
    assert sender(v2.get(image_id)).status == 200


@pytest.mark.parametrize(
    "proxy",
    ["socks5://u:secret@proxy:1080", "http://u:secret@[::1", "http://", "ftp://secret@proxy"],
)
def test_a_proxy_that_is_no_http_proxy_is_refused_without_its_password(opened, environment, proxy):
    environment.setenv("http_proxy", proxy)
    with pytest.raises(InvalidOption, match=r"proxy \(from environment\)") as caught:
        opened.sender("http://glance.example")
    assert "secret" not in str(caught.value)


# --- sessions ----------------------------------------------------------------------------------


def test_cookies_are_not_sent_back(opened):
    with Loopback(conversation(reply(200, b"{}", "Set-Cookie: a=b"))) as server:
        sender = opened.sender(server)
        sender(get())
        sender(get())
    assert not any(b"cookie" in request.lower() for request in server.requests)


def test_a_netrc_is_not_read(opened, environment, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login nova password secret\n")
    environment.setenv("NETRC", str(tmp_path / "netrc"))
    with Loopback(conversation(JSON)) as server:
        opened.sender(server)(get())
    assert b"authorization" not in server.requests[0].lower()


def test_after_close_a_server_is_not_accused(server, image_id, opened):
    sender = opened.sender(server)
    sender(v2.get(image_id))
    sender.http.close()
    assert (sender(v2.get(image_id)).status, server.connections) == (200, 2)


def test_close_closes_what_is_kept(opened):
    ended = []

    def talk(_server, sock, _number):
        with sock.makefile("rb") as stream:
            read_request(stream)
            sock.sendall(JSON)
            ended.append(stream.read())

    with Loopback(talk) as server:
        sender = opened.sender(server)
        sender(get())
        sender.http.close()
        gc.collect()
        for thread in server._threads[1:]:
            thread.join(5)
        assert ended == [b""]


def test_a_child_of_a_fork_has_connections_of_its_own(server, image_id, opened):
    sender = opened.sender(server)
    sender(v2.get(image_id))
    assert in_child(lambda: sender(v2.get(image_id)).status) == 200
    sender(v2.get(image_id))
    assert server.connections == 2


def test_a_child_of_a_fork_has_tls_connections_of_its_own(secure, tls, image_id, opened):
    sender = opened.sender(secure, cafile=tls.cafile)
    sender(v2.get(image_id))
    assert in_child(lambda: sender(v2.get(image_id)).status) == 200
    sender(v2.get(image_id))
    assert secure.connections == 2
