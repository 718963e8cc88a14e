"""Webhooks in the page: their rule, a new secret, messages sent again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Locator, Page, expect

from tests.server.page.browsing import chromium, opened
from tests.server.page.serving import served
from tests.server.test_webhooks_api import LOOPBACK, WEBHOOKS, subscribed
from tests.support.receiver import Receiver, receiver

pytestmark = pytest.mark.slow


@asynccontextmanager
async def webhook_shown(
    folder: Path, detector: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Page, Locator, Receiver, aiohttp.ClientSession, str]]:
    """The page, the one webhook in it, its receiver, a client of the server and the webhook's path."""
    async with receiver() as hears:
        hears.ca.cert_pem.write_to_path(str(folder / "authority.pem"))
        alerts = {"allow_networks": LOOPBACK, "ca_file": str(folder / "authority.pem")}
        monkeypatch.setenv("STREAMGUARD_ALERTS", json.dumps(alerts))
        with served(folder, detector) as server:
            async with (
                aiohttp.ClientSession(server.url) as http,
                chromium() as browser,
                opened(browser, server.url) as page,
            ):
                webhook = await subscribed(http, hears, "/hook", name="desk", rule={"streams": ["door"]})
                await page.get_by_text("Webhooks", exact=True).click()
                item = page.get_by_role("list", name="Webhooks").get_by_role("listitem", name="desk")
                await expect(item).to_be_visible()
                yield page, item, hears, http, f"{WEBHOOKS}/{webhook['id']}"


async def rule_of(http: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    """The webhook's rule, as the server has it."""
    rule: dict[str, Any] = (await (await http.get(path)).json())["rule"]
    return rule


async def test_what_is_told_is_changed(tmp_path: Path, detector: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with webhook_shown(tmp_path, detector, monkeypatch) as (page, item, _, http, path):
        before = await rule_of(http, path)
        await item.get_by_role("button", name="Events sent").click()
        dialog = page.get_by_role("dialog", name="Events that the webhook gets")
        await expect(dialog.get_by_label("Streams")).to_have_value("door")
        await expect(dialog.get_by_label("A fake begins")).to_be_checked()
        # Nothing was touched: nothing changes.
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog).to_have_count(0)
        assert await rule_of(http, path) == before

        await item.get_by_role("button", name="Events sent").click()
        await dialog.get_by_label("Streams").fill("door*,  gate")
        await dialog.get_by_label("A fake goes on").uncheck()
        await dialog.get_by_label("A stream is lost").check()
        await dialog.get_by_label("Least score").fill("0.75")
        await dialog.get_by_label("Called fake, seconds").fill("5")
        quiet = dialog.get_by_label("Quiet hours")
        await quiet.fill("at night")
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("These are no quiet hours: at night")
        await quiet.fill("22:00-06:00 Europe/Nowhere")
        await dialog.get_by_role("button", name="Save").click()
        # What the server finds wrong is told in the dialog, which keeps what was written.
        await expect(dialog.get_by_role("alert")).to_contain_text("time zone")
        await quiet.fill("sat,sun 00:00 - 23:59\n22:00-06:00 Europe/Warsaw")
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("within_seconds")
        await dialog.get_by_label("… of the last seconds").fill("10")
        await page.set_viewport_size({"width": 320, "height": 900})
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        assert await dialog.evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")
        await dialog.get_by_role("button", name="Save").click()
        await expect(dialog).to_have_count(0)
        days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
        assert await rule_of(http, path) == {
            **before,
            "streams": ["door*", "gate"],
            "kinds": ["fake.opened", "fake.closed", "stream.down"],
            "least_score": 0.75,
            "for_seconds": 5,
            "within_seconds": 10,
            "quiet": [
                {"days": ["sat", "sun"], "start": "00:00", "end": "23:59", "zone": "UTC"},
                {"days": days, "start": "22:00", "end": "06:00", "zone": "Europe/Warsaw"},
            ],
        }
        await item.get_by_role("button", name="Events sent").click()
        await expect(quiet).to_have_value("sat,sun 00:00-23:59 UTC\n22:00-06:00 Europe/Warsaw")
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)


async def test_a_new_secret(tmp_path: Path, detector: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with webhook_shown(tmp_path, detector, monkeypatch) as (page, item, hears, _, _):
        old = hears.secrets["/hook"]
        await item.get_by_role("button", name="New secret").click()
        ask = page.get_by_role("dialog", name="A new secret")
        await ask.get_by_role("button", name="Cancel").click()
        await expect(page.locator("dialog")).to_have_count(0)

        await item.get_by_role("button", name="New secret").click()
        await ask.get_by_label("Hours that the old one stays valid").fill("0")
        await ask.get_by_role("button", name="Create").click()
        shown = page.get_by_role("dialog", name="The webhook's secret")
        hears.secrets["/hook"] = await shown.get_by_label("Secret").input_value()
        assert hears.secrets["/hook"] not in ("", old)
        await shown.get_by_role("button", name="I have copied it").click()
        await expect(page.locator("dialog")).to_have_count(0)
        await item.get_by_role("button", name="Send a test").click()
        await expect(item.get_by_role("list", name="Last deliveries")).to_contain_text("delivered")
        # It was verified with the new one, and nothing else signed it.
        (one,) = hears.accepted("/hook")
        assert len(one.headers["webhook-signature"].split()) == 1


async def test_messages_are_sent_again(tmp_path: Path, detector: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with webhook_shown(tmp_path, detector, monkeypatch) as (page, item, hears, _, _):
        log = item.get_by_role("list", name="Last deliveries")
        for count in (1, 2):
            await item.get_by_role("button", name="Send a test").click()
            await hears.until(lambda count=count: len(hears.accepted("/hook")) == count)  # type: ignore[misc]
            await expect(log.get_by_text("delivered", exact=True)).to_have_count(count)
        first, second = (one.webhook_id for one in hears.accepted("/hook"))
        await log.get_by_role("listitem").last.get_by_role("button", name="Send again").click()
        await hears.until(lambda: hears.ids("/hook")[first] == 2)
        assert hears.ids("/hook")[second] == 1

        await expect(log.get_by_text("delivered", exact=True)).to_have_count(2)
        await item.get_by_role("button", name="Send again", exact=True).click()
        dialog = page.get_by_role("dialog", name="Send again")
        since = await dialog.get_by_label("From").input_value()
        until = await dialog.get_by_label("Until").input_value()
        await dialog.get_by_label("Until").fill(since)
        await dialog.get_by_role("button", name="Send again").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("its end is not after its start")
        await dialog.get_by_label("Until").fill(until)
        await dialog.get_by_role("button", name="Send again").click()
        await expect(item).to_contain_text("2 messages are sent.")
        await hears.until(lambda: hears.ids("/hook") == {first: 3, second: 2})
