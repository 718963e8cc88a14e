"""The API's documentation in a real browser: whole, readable on a phone, and without a network."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.server.conftest import ServeWith
from tests.server.page.browsing import chromium
from tests.server.test_auth import TOKENS

pytestmark = pytest.mark.slow

_TOO_WIDE = """() => [...document.querySelectorAll("body *")]
  .filter((each) => !each.closest("pre") && each.getBoundingClientRect().right > innerWidth + 1)
  .map((each) => each.outerHTML.slice(0, 120))"""


async def test_it_can_be_read_without_a_network(serve_with: ServeWith) -> None:
    async with serve_with(tokens=TOKENS) as (server, http), chromium() as browser:
        document = await (await http.get("/api/v1/openapi.json")).json()
        for size, dark in (((390, 844), False), ((1280, 900), True)):
            context = await browser.new_context(
                viewport={"width": size[0], "height": size[1]},
                color_scheme="dark" if dark else "light",
            )
            page = await context.new_page()
            wrong: list[str] = []
            page.on("console", lambda said, wrong=wrong: wrong.append(said.text))
            asked: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            await page.goto(f"{server.url}/docs")
            # Nothing but the page itself was asked for, and nothing will be.
            await context.set_offline(True)
            assert [url for url in asked if "favicon" not in url] == [f"{server.url}/docs"]
            names = [each["operationId"] for item in document["paths"].values() for each in item.values()]
            for name in names:
                await expect(page.locator(f"details#{name} > summary")).to_be_visible()
            for name in document["components"]["schemas"]:
                assert await page.locator(f"#schema-{name}").count() == 1
            await page.locator("details#addStream > summary").click()
            opened = page.locator("details#addStream")
            await expect(opened.locator("pre")).to_contain_text('curl -X POST -H "Authorization: Bearer $TOKEN"')
            await opened.get_by_role("link", name="NewStream").click()
            await expect(page.locator("#schema-NewStream")).to_be_in_viewport()
            links = await page.locator("main a[href^='#']").evaluate_all(
                "(all) => all.map((a) => a.getAttribute('href')).filter((href) => !document.querySelector(href))"
            )
            assert links == []
            await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            assert await page.evaluate(_TOO_WIDE) == []
            assert not wrong
            await context.close()
