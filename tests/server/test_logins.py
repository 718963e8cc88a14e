"""Failed log-ins: told in the log, slowed down by address, and nobody else shut out."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter, defaultdict

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from streamguard.server.logins import HOLD, LoginLimiter, client_address, limited_as
from tests.server.conftest import ServeWith
from tests.server.test_auth import ADMIN, TOKENS, VIEW, bearer
from tests.server.test_protocol import problem

BURST, PAUSE, MOST = 4, 2.0, 6
PATH = "/api/v1/engines"


class SimulatedClock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


quarters = st.integers(0, 36).map(lambda number: number / 4)
"""Seconds without rounding errors."""
tries = st.lists(st.tuples(quarters, st.integers(0, MOST - 1), st.sampled_from(["wrong", "right"])), max_size=80)


@given(tries)
def test_no_address_has_more_tries_than_its_bucket(steps: list[tuple[float, int, str]]) -> None:
    clock = SimulatedClock()
    limiter = LoginLimiter(BURST, PAUSE, MOST, clock)
    looked: defaultdict[str, list[float]] = defaultdict(list)
    for passed, number, kind in steps:
        clock.now += passed
        address, wait = str(number), limiter.wait(str(number))
        assert 0 <= wait <= HOLD + PAUSE
        if wait > HOLD:
            continue
        limiter.tried(address)
        if kind == "right":
            before = limiter.wait(address)
            limiter.admit(address, b"right")
            # It cost nothing, and passes from now on.
            assert limiter.wait(address) <= max(before, wait)
            assert limiter.knows(address, b"right")
        else:
            looked[address].append(clock.now + wait)
    for times in looked.values():
        assert times == sorted(times)
        for first in range(len(times)):
            for last in range(first, len(times)):
                assert last - first + 1 <= BURST + (times[last] - times[first]) / PAUSE + 1e-6


@given(tries)
def test_addresses_do_not_touch_each_other_and_a_quiet_one_begins_anew(steps: list[tuple[float, int, str]]) -> None:
    clock = SimulatedClock()
    shared = LoginLimiter(BURST, PAUSE, MOST, clock)
    own = {str(number): LoginLimiter(BURST, PAUSE, MOST, clock) for number in range(MOST)}
    for passed, number, _ in steps:
        clock.now += passed
        for limiter in (shared, own[str(number)]):
            if limiter.wait(str(number)) <= HOLD:
                limiter.tried(str(number))
        assert all(shared.wait(name) == limiter.wait(name) for name, limiter in own.items())
    clock.now += HOLD + (BURST + 1) * PAUSE
    for name in own:
        waits = []
        for _ in range(BURST + 1):
            waits.append(shared.wait(name))
            shared.tried(name)
        assert waits == [0.0] * BURST + [PAUSE]


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1000)), min_size=1, max_size=200))
def test_memory_is_bounded_and_who_tries_most_is_remembered(steps: list[tuple[float, int]]) -> None:
    clock = SimulatedClock()
    limiter = LoginLimiter(BURST, PAUSE, MOST, clock)
    for passed, number in steps:
        clock.now += passed
        for _ in range(3 * BURST):
            if limiter.wait("worst") <= HOLD:
                limiter.tried("worst")
        limiter.tried(str(number))
        limiter.admit(str(number), b"token")
        assert max(len(limiter._full), len(limiter._admitted)) <= MOST
        assert limiter.wait("worst") > 0


async def test_they_are_logged_slowed_down_and_shut_nobody_out(
    serve_with: ServeWith, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "wrong-0123456789"
    monkeypatch.setattr("streamguard.server.auth.LoginLimiter", lambda: LoginLimiter(3, 0.3))
    monkeypatch.setattr("streamguard.server.auth.HOLD", 0.7)
    async with serve_with(tokens=TOKENS) as (_, http):
        assert (await http.get(PATH, headers=bearer(ADMIN))).status == 200
        # Nothing tried: a browser asks without a token first.
        for _ in range(9):
            await problem(await http.get(PATH), 401)
        answers = await asyncio.gather(*(http.get(f"{PATH}?token=s3cret", headers=bearer(wrong)) for _ in range(12)))
        found = Counter(answer.status for answer in answers)
        assert found[401] + found[429] == 12
        assert found[401] >= 3
        assert found[429] >= 5
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status == 429)
        # Who is in stays in, at once; who is new with a right token waits, and gets in.
        for token in (ADMIN, VIEW):
            assert (await http.get(PATH, headers=bearer(token))).status == 200
    failures = [line for line in caplog.messages if "log-in failed" in line]
    assert 3 <= len(failures) < 12
    assert all("127.0.0.1" in line and PATH in line and "GET" in line for line in failures)
    assert wrong not in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("peer", "forwarded", "told"),
    [
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.2.3.4, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9", "10.9.9.9"], "203.0.113.9"),
        ("10.0.0.1", ["10.1.1.1, 10.9.9.9"], "10.1.1.1"),
        ("10.0.0.1", ["nonsense, 10.9.9.9"], "10.9.9.9"),
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ['"[2001:db8::7]:80"'], "2001:db8::7"),
        # Whoever is no proxy of ours says what he likes.
        ("203.0.113.5", ["198.51.100.1"], "203.0.113.5"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("", ["198.51.100.1"], "unknown"),
    ],
)
def test_who_asks_through_proxies(peer: str, forwarded: list[str], told: str) -> None:
    headers = [("X-Forwarded-For", value) for value in forwarded]
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=peer)
    assert client_address(request, [ipaddress.ip_network("10.0.0.0/8")]) == told


def test_an_ipv6_network_is_limited_as_one() -> None:
    assert limited_as("2001:db8:1:2:3:4:5:6") == limited_as("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert limited_as("2001:db8:1:3::1") != limited_as("2001:db8:1:2::1")
    assert limited_as("::ffff:1.2.3.4") != limited_as("::ffff:1.2.3.5")
    assert limited_as("1.2.3.4") == "1.2.3.4"
