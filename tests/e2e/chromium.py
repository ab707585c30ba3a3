"""Debian's Chromium with a recorded voice as its microphone, driven by Playwright.

    async with chromium(microphone=wav) as browser:
        page = await browser.new_page()

Where there is no Chromium the test is skipped loudly, and fails in CI.
"""

import os
import shutil
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, async_playwright

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
