"""Hosts that speak TLS are known by their certificates, unless that is switched off."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from streamguard.errors import ConfigError, SourceUntrusted, StreamguardError
from streamguard.media import SourceOptions, open_source
from tests.support.hosts import web_server
from tests.support.media_files import make_video


@dataclass(frozen=True)
class Site:
    """A host whose certificate the system does not trust: a file's URL, and who signed the certificate."""

    url: str
    authority: Path


Serve = Callable[[str], ssl.SSLContext]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def serve_as(authority: trustme.CA) -> Serve:
    """A host's name -> how it serves."""

    def make(name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        return context

    return make


@pytest.fixture
def site(tmp_path: Path, authority: trustme.CA, serve_as: Serve) -> Iterator[Site]:
    make_video(tmp_path / "a.mp4", frames=10)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    with web_server(tmp_path, serve_as("127.0.0.1")) as base:
        yield Site(f"{base}/a.mp4", tmp_path / "authority.pem")


def test_an_unknown_issuer_is_refused(site: Site) -> None:
    with pytest.raises(SourceUntrusted, match=r"certificate is not trusted \(.*issuer") as caught:
        open_source(site.url)
    assert not caught.value.retryable
    assert "--insecure" in caught.value.remedy


def test_a_known_issuer_is_accepted(site: Site) -> None:
    with open_source(site.url, SourceOptions(ca_file=site.authority)) as source:
        assert len(list(source)) == 10


def test_the_systems_store_can_be_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(site.authority))
    with open_source(site.url) as source:
        assert len(list(source)) == 10


def test_the_check_can_be_switched_off(site: Site) -> None:
    with open_source(site.url, SourceOptions(verify_tls=False)) as source:
        assert len(list(source)) == 10


def test_another_hosts_certificate_is_refused(site: Site, tmp_path: Path, serve_as: Serve) -> None:
    with (
        web_server(tmp_path, serve_as("elsewhere.example")) as base,
        pytest.raises(SourceUntrusted, match="not trusted"),
    ):
        open_source(f"{base}/a.mp4", SourceOptions(ca_file=site.authority))


def test_no_file_of_trusted_certificates(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file of trusted"):
        open_source("https://127.0.0.1/a.mp4", SourceOptions(ca_file=tmp_path / "none.pem"))


@pytest.mark.parametrize("scheme", ["rtsps", "rtmps"])
@pytest.mark.parametrize("verify", [True, False])
def test_nothing_is_said_to_a_host_before_it_is_trusted(serve_as: Serve, scheme: str, verify: bool) -> None:
    heard: list[bytes] = []
    context = serve_as("127.0.0.1")

    def listen(listener: socket.socket) -> None:
        # A client that distrusts the certificate looks at it a second time, to say why.
        for _ in range(2 if verify else 1):
            connection, _address = listener.accept()
            connection.settimeout(10)
            try:
                with context.wrap_socket(connection, server_side=True) as secured:
                    heard.append(secured.recv(16))
            except OSError:
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=listen, args=(listener,))
        thread.start()
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/a/b"
        with pytest.raises(SourceUntrusted if verify else StreamguardError) as caught:
            open_source(url, SourceOptions(open_timeout=5, verify_tls=verify))
        thread.join()
    assert isinstance(caught.value, SourceUntrusted) is verify
    assert any(heard) is not verify
