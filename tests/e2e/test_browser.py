"""The page at `/` in a real Chromium."""

import pytest
from playwright.async_api import Page, expect

from e2e.chromium import chromium
from live_server import scripted, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def opened(page: Page, base_url: str) -> list[str]:
    """The page, and what its console complains of."""
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda fault: complaints.append(str(fault)))
    await page.goto(base_url.removesuffix("v1"))
    return complaints


async def test_the_page_opens_without_a_complaint_and_fetches_nothing_from_elsewhere() -> None:
    async with serving(scripted()) as base_url, chromium() as browser:
        page = await browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        complaints = await opened(page, base_url)
        await expect(page.get_by_role("button", name="Start talking")).to_be_visible()
        await expect(page.get_by_role("status")).to_have_text("Press to talk")
    assert complaints == []
    assert len(asked) >= 6
    assert all(url.startswith(base_url.removesuffix("v1")) for url in asked)


async def test_it_fits_a_telephone_held_upright() -> None:
    async with serving(scripted()) as base_url, chromium() as browser:
        page = await browser.new_page()
        await page.set_viewport_size({"width": 320, "height": 568})
        await opened(page, base_url)
        wide = await page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 320


async def test_a_denied_microphone_is_told_in_words() -> None:
    async with serving(scripted()) as base_url, chromium(allowed=False) as browser:
        page = await browser.new_page()
        await opened(page, base_url)
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.get_by_role("alert")).to_contain_text("microphone is not allowed")
        await expect(page.get_by_role("button", name="Start talking")).to_be_visible()


async def test_a_page_that_needs_a_key_asks_for_it() -> None:
    async with serving(scripted(playground="key")) as base_url, chromium() as browser:
        page = await browser.new_page()
        await opened(page, base_url)
        await expect(page.get_by_label("Key of this server")).to_be_hidden()
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.get_by_role("alert")).to_contain_text("wants a key")
        await expect(page.get_by_label("Key of this server")).to_be_focused()
