"""Where webhooks may go, and where they may not."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.alerts import TargetPolicy, read_networks
from streamguard.errors import ConfigError, ForbiddenTarget, SubscriptionError

PUBLIC = ["93.184.215.14", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
FORBIDDEN = [
    *["127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"],
    *["255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "203.0.113.1"],
    *["::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "fec0::1", "2001:db8::1", "::127.0.0.1"],
    *["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::", "2002:0a00:0001::"],
    *["64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2001:0:7f00:1::"],
]


def resolving(*addresses: str) -> Any:
    """A `getaddrinfo` that knows these addresses only."""

    async def lookup(host: str, port: int, family: int) -> list[tuple[Any, ...]]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in addresses
        ]

    return lookup


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_pass(text: str) -> None:
    assert TargetPolicy().permits(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", FORBIDDEN)
def test_private_local_and_reserved_ones_do_not(text: str) -> None:
    assert not TargetPolicy().permits(ipaddress.ip_address(text))


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:{}", "64:ff9b::{}"]))
def test_wrapping_an_address_hides_nothing(address: ipaddress.IPv4Address, wrap: str) -> None:
    wrapped = ipaddress.ip_address(wrap.format(address))
    assert TargetPolicy().permits(wrapped) <= TargetPolicy().permits(address)


def test_the_operator_may_allow_a_network() -> None:
    policy = TargetPolicy(allow=read_networks(["10.1.0.0/16", "::1"]))
    assert policy.permits(ipaddress.ip_address("10.1.2.3"))
    assert policy.permits(ipaddress.ip_address("::1"))
    assert not policy.permits(ipaddress.ip_address("10.2.0.1"))
    with pytest.raises(ConfigError, match="no network"):
        read_networks(["10.1.0.0/99"])


async def test_one_forbidden_address_among_public_ones_is_enough() -> None:
    policy = TargetPolicy(lookup=resolving("8.8.8.8", "10.0.0.1"))
    with pytest.raises(ForbiddenTarget, match=r"10\.0\.0\.1"):
        await policy.check("https://receiver.example/")


async def test_a_zone_hides_nothing() -> None:
    with pytest.raises(ForbiddenTarget):
        await TargetPolicy(lookup=resolving("fe80::1%eth0")).check("https://receiver.example/")


@pytest.mark.parametrize("url", ["https://2130706433/", "https://0x7f.1/", "https://127.1/", "https://[::1]/"])
async def test_addresses_in_disguise(url: str) -> None:
    """Resolved by the system itself."""
    with pytest.raises(ForbiddenTarget):
        await TargetPolicy().check(url)


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("", "no https URL"),
        ("receiver.example/hook", "no https URL"),
        ("ftp://receiver.example/", "no https URL"),
        ("file:///etc/passwd", "no https URL"),
        ("https://", "no https URL"),
        ("https://receiver.example:99999/", "no URL"),
        ("http://receiver.example/", "http is not encrypted"),
        ("https://bob:secret@receiver.example/", "user name or password"),
        ("https://receiver.example/#part", "fragment"),
        ("https://receiver.example/a b", "percent-encoded"),
        ("https://receiver.example/\r\nx: y", "percent-encoded"),
        ("https://receiver.example\\@evil.example/", "percent-encoded"),
        ("https://räuber.example/", "percent-encoded"),
        ("https://receiver.example/" + "x" * 2048, "longer than 2048"),
    ],
)
async def test_wrong_urls(url: str, cause: str) -> None:
    with pytest.raises(SubscriptionError) as caught:
        await TargetPolicy(lookup=resolving("8.8.8.8")).check(url)
    assert cause in caught.value.cause
    assert caught.value.remedy
    assert "secret" not in str(caught.value)


async def test_right_urls() -> None:
    policy = TargetPolicy(lookup=resolving("8.8.8.8"))
    for url in ("https://receiver.example", "https://receiver.example:8443/a?token=x", "https://[2606:4700::1]/"):
        await policy.check(url)
    await TargetPolicy(lookup=resolving("8.8.8.8"), allow_http=True).check("http://receiver.example/")


async def test_a_name_that_does_not_resolve_now_may_later() -> None:
    await TargetPolicy(lookup=resolving()).check("https://receiver.example/")


@pytest.mark.parametrize("url", ["https://guard.example/hook", "https://GUARD.example.:443/"])
async def test_a_subscription_to_itself_is_refused(url: str) -> None:
    policy = TargetPolicy(own=frozenset({("guard.example", 443)}), lookup=resolving("8.8.8.8"))
    with pytest.raises(ForbiddenTarget, match="this very server"):
        await policy.check(url)
    await policy.check("https://guard.example:8443/hook")
