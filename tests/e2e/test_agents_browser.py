"""The stock `@openai/agents-realtime` over WebRTC in a real Chromium, and the example pages.

The pages come from another origin than the server, as an application's do. The package is the
browser build that it ships, unchanged; a page has a client secret and never a key.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from duologue.engines.scripted import tone
from e2e.chromium import chromium, give_microphone, overhear, say
from e2e.stock_clients import node_package
from live_server import Serve, chained, http_post, scripted, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]
HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "examples" / "browser"
PATIENCE_MS = 20_000
SCRIPT = """
transcripts = ["What is the weather in Paris?", "Stop."]
[[replies]]
when = "What is the weather"
calls = [{ name = "get_weather", arguments = '{"city":"Paris"}' }]
[[replies]]
when = "sunny"
text = "It is sunny in Paris today and it will stay so for the whole long week and the next one."
word_delay_ms = 100
[[replies]]
text = "You said: {heard}"
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@asynccontextmanager
async def site(folder: Path, page: Path) -> AsyncIterator[str]:
    """The address of `page` on an origin of its own, with the package beside it."""
    bundle = node_package("@openai/agents-realtime") / "dist" / "bundle"
    (folder / "agents-realtime").symlink_to(bundle)
    (folder / page.name).symlink_to(page)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{page.name}"
    finally:
        await asyncio.to_thread(server.shutdown)
        thread.join()
        server.server_close()


async def client_secret(base_url: str, **session: Any) -> str:
    wanted = {"session": {"type": "realtime", **session}}
    status, _, body = await http_post(f"{base_url}/realtime/client_secrets", wanted)
    assert status == 200, body
    value: str = body["value"]
    assert value.startswith("ek_")
    return value


async def until(page: Page, condition: str) -> None:
    """Until an expression of the page holds."""
    await page.wait_for_function(f"() => {condition}", timeout=PATIENCE_MS)


@pytest.mark.conformance("C-208")
@pytest.mark.client(
    "agents-realtime Chromium",
    "connection",
    "voice turn",
    "transcript",
    "function call",
    "interruption",
)
async def test_the_agents_package_talks_over_webrtc_and_is_interrupted(
    tmp_path: Path, serve: Serve
) -> None:
    config = scripted(script=SCRIPT, webrtc_hosts="127.0.0.1")
    async with (
        serve(config) as base_url,
        site(tmp_path, HERE / "pages" / "agents.html") as address,
        chromium() as browser,
    ):
        page = await browser.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        await give_microphone(page)
        await page.goto(address)
        await until(page, "window.talk")
        # The package names a model of its own in its first `session.update`.
        secret = await client_secret(base_url, model="gpt-realtime")
        await page.evaluate("([server, secret]) => talk(server, secret)", [base_url, secret])
        await say(page, tone(900))
        await until(page, "seen.history.some((item) => item.text?.startsWith('It is'))")
        await until(page, "seen.types.includes('output_audio_buffer.started')")
        await say(page, tone(900))
        await until(page, "seen.types.includes('conversation.item.truncated')")
        await until(page, "seen.history.at(-1).text === 'You said: Stop.'")
        await until(page, "seen.history.every((item) => item.text)")
        seen = await page.evaluate("seen")
    assert (faults, seen["errors"]) == ([], [])
    assert seen["connected"] and seen["call"].startswith("rtc_")
    assert seen["tools"] == ["Paris"]
    # Its own `audio_interrupted` is for sound that it plays itself, over WebSocket.
    assert seen["types"].count("output_audio_buffer.cleared") == 1
    assert seen["types"].count("conversation.item.truncated") == 1
    said = [(item["role"], item["text"]) for item in seen["history"]]
    cut = said.pop(2)
    assert said == [
        ("user", "What is the weather in Paris?"),
        ("function_call", "sunny in Paris"),
        ("user", "Stop."),
        ("assistant", "You said: Stop."),
    ]
    assert cut[0] == "assistant" and cut[1].startswith("It") and "next one" not in cut[1]


ANSWERS = """
transcripts = ["What is the weather in Paris?"]
[[replies]]
text = "It is sunny."
"""


@pytest.mark.parametrize(
    ("name", "user", "assistant", "serve"),
    [
        pytest.param("index.html", "you", "it", serving, id="index.html"),
        pytest.param("index.html", "you", "it", chained, id="index.html, chained"),
        pytest.param("agents.html", "user", "assistant", serving, id="agents.html"),
    ],
)
async def test_the_example_page_shows_what_both_say(
    name: str,
    user: str,
    assistant: str,
    tmp_path: Path,
    serve: Serve,
) -> None:
    config = scripted(script=ANSWERS, webrtc_hosts="127.0.0.1")
    async with (
        serve(config) as base_url,
        site(tmp_path, EXAMPLES / name) as address,
        chromium() as browser,
    ):
        page = await browser.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        await give_microphone(page)
        await overhear(page)
        await page.goto(address)
        await page.get_by_label("Server").fill(base_url.removesuffix("/v1"))
        await page.get_by_label("Client secret").fill(
            await client_secret(base_url, model="gpt-realtime")
        )
        async with page.expect_response("**/v1/realtime/calls*") as answer:
            await page.get_by_role("button", name="Talk").click()
        assert (await answer.value).status == 201
        await until(page, "told.some((event) => event.type === 'session.updated')")
        await say(page, tone(900))
        words = page.locator("#words")
        await expect(words).to_contain_text(
            f"{user}: What is the weather in Paris?", timeout=PATIENCE_MS
        )
        await expect(words).to_contain_text(f"{assistant}: It is sunny.", timeout=PATIENCE_MS)
        await expect(words).not_to_contain_text("error")
    assert faults == []
