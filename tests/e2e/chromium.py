"""Debian's Chromium with a recorded voice as its microphone, driven by Playwright.

    async with chromium(microphone=wav) as browser:
        page = await browser.new_page()

The file plays from the start of the call on. Where a test speaks upon what the page shows, the
page gets a microphone that is silent until it is spoken into:

    await give_microphone(page)
    await say(page, pcm)

Where there is no Chromium the test is skipped loudly, and fails in CI.
"""

import base64
import os
import re
import shutil
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, Route, async_playwright

RATE_HZ = 24_000
FLAGS = (
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-dev-shm-usage",
)


def write_microphone(path: Path, pcm: bytes) -> Path:
    """`pcm` (24 kHz s16le) as the file that the fake microphone plays, again and again."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm)
    return path


SPOKEN_INTO = """
const context = new AudioContext({ sampleRate: 24000 });
const line = context.createMediaStreamDestination();
navigator.mediaDevices.getUserMedia = async () => {
  await context.resume();
  return line.stream;
};
window.speakInto = (base64) => {
  const samples = new Int16Array(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer);
  const sound = context.createBuffer(1, samples.length, 24000);
  sound.copyToChannel(Float32Array.from(samples, (sample) => sample / 32768), 0);
  const source = new AudioBufferSourceNode(context, { buffer: sound });
  source.connect(line);
  source.start();
};
"""


async def give_microphone(page: Page) -> None:
    """Before the page is opened: what it takes for the microphone is what `say` speaks into."""
    await page.add_init_script(SPOKEN_INTO)


async def say(page: Page, pcm: bytes) -> None:
    """`pcm` (24 kHz s16le) begins to sound in the page's microphone."""
    await page.evaluate("(sound) => speakInto(sound)", base64.b64encode(pcm).decode())


OVERHEARD = """
const create = RTCPeerConnection.prototype.createDataChannel;
window.told = [];
RTCPeerConnection.prototype.createDataChannel = function (...given) {
  const channel = (window.eventChannel = create.apply(this, given));
  channel.addEventListener("message", ({ data }) => told.push(JSON.parse(data)));
  return channel;
};
"""


async def overhear(page: Page) -> None:
    """Before the page is opened: its `told` lists the events that a server has sent it."""
    await page.add_init_script(OVERHEARD)


async def tell(page: Page, event: dict[str, Any]) -> None:
    """Send an event over the channel of a page that is overheard."""
    await page.evaluate("(event) => eventChannel.send(JSON.stringify(event))", event)


async def behind_nat(page: Page) -> None:
    """Before the page is opened: its offers name no address by which a server would find it."""

    async def strip(route: Route) -> None:
        offer = (route.request.post_data or "").splitlines(keepends=True)
        kept = "".join(line for line in offer if not line.startswith("a=candidate"))
        await route.continue_(post_data=kept)

    await page.route(re.compile(r"/v1/realtime/calls"), strip)


@asynccontextmanager
async def chromium(
    *, microphone: Path | None = None, allowed: bool = True
) -> AsyncIterator[BrowserContext]:
    """A browser whose microphone plays a file; without `allowed` the user says no to it."""
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no chromium: run scripts/install_browser.py")
        pytest.skip("CHROMIUM IS NOT ON THIS MACHINE: python scripts/install_browser.py")
    flags = list(FLAGS)
    if microphone:
        flags.append(f"--use-file-for-fake-audio-capture={microphone}")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=found, args=flags, chromium_sandbox=os.geteuid() != 0
        )
        try:
            context = await browser.new_context(permissions=["microphone"] if allowed else [])
            yield context
        finally:
            await browser.close()
