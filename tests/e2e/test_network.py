"""The page at `/` in a real Chromium whose network fails: a router between it and the server.

A short outage is mended below the session, so that it runs alone.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import BrowserContext, Page, expect

from duologue.engines.scripted import tone
from e2e.chromium import behind_nat, chromium, give_microphone, overhear, say
from e2e.router import Router, routed
from live_server import Serve, scripted, serving
from waiting import logged

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SCRIPT = """
transcripts = ["What is the weather in Paris?", "And in Rome?"]
[[replies]]
when = "weather"
text = "It is sunny."
[[replies]]
text = "You said: {heard}"
"""


@asynccontextmanager
async def talking(serve: Serve = serving) -> AsyncIterator[tuple[Page, Router, BrowserContext]]:
    """A conversation that has had one question and its answer."""
    async with (
        routed() as (router, settings),
        serve(scripted(script=SCRIPT, **settings)) as base_url,
        chromium() as browser,
    ):
        page = await browser.new_page()
        await give_microphone(page)
        await overhear(page)
        await behind_nat(page)
        await page.goto(base_url.removesuffix("v1"))
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.get_by_role("status")).to_have_text("Listening", timeout=20_000)
        await ask(page, 0, "What is the weather in Paris?", "It is sunny.")
        assert router.passed
        yield page, router, browser


async def ask(page: Page, turn: int, question: str, answer: str) -> None:
    await say(page, tone(900))
    words = page.locator(".turn.user .words").nth(turn)
    await expect(words).to_have_text(question, timeout=20_000)
    reply = page.locator(".turn.assistant").nth(turn)
    await expect(reply).to_contain_text(answer, timeout=20_000)
    await expect(reply).to_contain_text(re.compile(r"answered after \d\.\d\d s"), timeout=20_000)


async def restarts(page: Page) -> list[str]:
    """Where the page has sent restarts of its call."""
    names: list[str] = await page.evaluate(
        "performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    return [name for name in names if name.endswith("/restart")]


async def test_a_short_outage_heals_by_itself() -> None:
    async with talking() as (page, router, browser):
        await browser.set_offline(True)
        router.cut()
        await expect(page.get_by_role("alert")).to_contain_text("network", timeout=20_000)
        router.mend()
        await browser.set_offline(False)
        await expect(page.get_by_role("alert")).to_be_hidden(timeout=20_000)
        await ask(page, 1, "And in Rome?", "You said: And in Rome?")
        assert await restarts(page) == []


async def test_another_network_after_a_long_outage_carries_the_same_call(
    caplog: pytest.LogCaptureFixture, serve: Serve
) -> None:
    caplog.set_level(logging.INFO, "duologue.transports.webrtc")
    async with talking(serve) as (page, router, browser):
        await browser.set_offline(True)
        alert = page.get_by_role("alert")
        with logged("no way to the peer") as lost:
            router.cut()
            await expect(alert).to_contain_text("connecting again", timeout=30_000)
            async with asyncio.timeout(30):
                await lost.wait()  # the browser's side failed long before
        router.move()
        router.mend()
        await browser.set_offline(False)
        await expect(alert).to_be_hidden(timeout=20_000)
        await ask(page, 1, "And in Rome?", "You said: And in Rome?")
        assert await restarts(page)
        sessions = await page.evaluate("told.filter((e) => e.type === 'session.created').length")
    assert sessions == 1
