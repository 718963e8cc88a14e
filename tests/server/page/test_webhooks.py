"""Webhooks in the page: added, tested, paused, deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.server.page.browsing import chromium, opened
from tests.server.page.serving import served
from tests.support.receiver import answering, receiver

pytestmark = pytest.mark.slow


async def test_a_webhook_is_looked_after(tmp_path: Path, detector: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as hears:
        authority = tmp_path / "authority.pem"
        hears.ca.cert_pem.write_to_path(authority)
        alerts = f'{{"allow_networks": ["127.0.0.0/8", "::1/128"], "ca_file": "{authority}"}}'
        monkeypatch.setenv("STREAMGUARD_ALERTS", alerts)
        with served(tmp_path, detector) as server:
            async with chromium() as browser, opened(browser, server.url) as page:
                await page.get_by_text("Webhooks", exact=True).click()
                await expect(page.get_by_text("Nobody is notified yet.")).to_be_visible()

                await page.get_by_label("Receiver").fill("https://10.0.0.1/")
                await page.get_by_role("button", name="Add a webhook").click()
                await expect(page.get_by_role("alert").filter(has_text="private")).to_be_visible()

                await page.get_by_label("Receiver").fill(hears.url("/hook"))
                await page.get_by_label("Name", exact=True).fill("desk <b>")
                await page.get_by_role("button", name="Add a webhook").click()
                dialog = page.get_by_role("dialog", name="The webhook's secret")
                hears.secrets["/hook"] = await dialog.get_by_label("Secret").input_value()
                assert hears.secrets["/hook"].startswith("whsec_")
                await dialog.get_by_role("button", name="I have copied it").click()
                await expect(page.locator("dialog")).to_have_count(0)
                assert hears.secrets["/hook"] not in await page.content()

                item = page.get_by_role("list", name="Webhooks").get_by_role("listitem", name="desk <b>")
                await item.get_by_role("button", name="Send a test").click()
                await expect(item.get_by_role("list", name="Last deliveries")).to_contain_text("delivered")
                assert len(hears.accepted("/hook")) == 1
                hears.behaviour["/hook"] = answering(500)
                await item.get_by_role("button", name="Send a test").click()
                await expect(item.get_by_role("list", name="Last deliveries")).to_contain_text("is tried again")

                await item.get_by_role("button", name="Pause").click()
                await expect(item).to_contain_text("paused")
                await item.get_by_role("button", name="Resume").click()
                await expect(item.get_by_role("button", name="Pause")).to_be_visible()
                await page.set_viewport_size({"width": 320, "height": 900})
                assert await page.evaluate("document.documentElement.scrollWidth") <= 320
                await item.get_by_role("button", name="Delete").click()
                await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
                await expect(page.get_by_text("Nobody is notified yet.")).to_be_visible()
