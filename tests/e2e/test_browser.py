"""The page at `/` in a real Chromium.

Conversations with an interruption or with new settings run in a chain, too; what the page says of
keys, microphones and servers that are away is of the server in front alone.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from duologue.config import ServerConfig
from duologue.engines.scripted import tone
from e2e.chromium import (
    RATE_HZ,
    chromium,
    give_microphone,
    overhear,
    say,
    tell,
    write_microphone,
)
from live_server import KEY, Serve, scripted, serving
from recordings import recording
from weights import weights

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


# Conversations

SCRIPT = """
transcripts = ["What is the weather in Paris?", "Stop."]
[[replies]]
when = "weather"
text = "It is sunny in Paris today and it will stay so for the whole long week and the next one."
word_delay_ms = 200
[[replies]]
text = "You said: {heard}"
"""


def spoken(path: Path, *parts: bytes) -> Path:
    """The parts, and then silence for half a minute: then it begins again."""
    return write_microphone(path, b"".join(parts) + silence(30))


def silence(seconds: float) -> bytes:
    return bytes(int(seconds * RATE_HZ) * 2)


async def test_a_conversation_shows_both_sides_and_how_long_the_answer_took(tmp_path: Path) -> None:
    microphone = spoken(tmp_path / "mic.wav", silence(2), tone(900))
    config = scripted(script=SCRIPT, webrtc_hosts="127.0.0.1")
    async with serving(config) as base_url, chromium(microphone=microphone) as browser:
        page = await browser.new_page()
        complaints = await opened(page, base_url)
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator(".turn.user .words")).to_have_text(
            "What is the weather in Paris?", timeout=30_000
        )
        answer = page.locator(".turn.assistant")
        await expect(answer).to_contain_text("the next one.", timeout=30_000)
        await expect(answer).to_contain_text(re.compile(r"answered after \d\.\d\d s"))
        await page.get_by_role("button", name="Stop talking").click()
        await expect(page.get_by_role("status")).to_have_text("Press to talk")
        await expect(answer).to_be_visible()
    assert complaints == []


async def test_talking_over_the_answer_leaves_only_the_heard_words(
    tmp_path: Path, serve: Serve
) -> None:
    microphone = spoken(tmp_path / "mic.wav", silence(2), tone(900), silence(2.5), tone(900))
    config = scripted(script=SCRIPT, webrtc_hosts="127.0.0.1")
    async with serve(config) as base_url, chromium(microphone=microphone) as browser:
        page = await browser.new_page()
        await opened(page, base_url)
        await page.get_by_role("button", name="Start talking").click()
        cut = page.locator(".turn.assistant.cut .words")
        await expect(cut).to_have_count(1, timeout=40_000)
        await expect(cut).to_have_text(re.compile(r"^It is.*"))
        await expect(cut).not_to_contain_text("the next one.")
        await expect(page.locator(".turn.assistant").nth(1)).to_contain_text(
            "You said: Stop.", timeout=30_000
        )


async def test_settings_that_change_in_the_midst_of_a_call_hold_from_the_next_answer_on(
    serve: Serve,
) -> None:
    config = scripted(script=SCRIPT, webrtc_hosts="127.0.0.1")
    async with serve(config) as base_url, chromium() as browser:
        page = await browser.new_page()
        await give_microphone(page)
        await overhear(page)
        complaints = await opened(page, base_url)
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.get_by_role("status")).to_have_text("Listening", timeout=20_000)
        settings: dict[str, Any] = {"type": "realtime", "output_modalities": ["text"]}
        await tell(page, {"type": "session.update", "session": settings})
        await say(page, tone(900))
        answers = page.locator(".turn.assistant")
        await expect(answers.nth(0)).to_contain_text("the next one.", timeout=20_000)
        kinds = await page.evaluate("told.map((event) => event.type)")
        assert "response.output_text.delta" in kinds
        assert "output_audio_buffer.started" not in kinds
        settings |= {"output_modalities": ["audio"], "audio": {"output": {"speed": 1.2}}}
        await tell(page, {"type": "session.update", "session": settings})
        await say(page, tone(900))
        await expect(answers.nth(1)).to_contain_text("You said: Stop.", timeout=20_000)
        await expect(answers.nth(1)).to_contain_text(re.compile(r"answered after \d\.\d\d s"))
        updates = await page.evaluate(
            "told.filter((e) => e.type === 'session.updated').map((e) => e.session)"
        )
    assert [one["output_modalities"] for one in updates[-2:]] == [["text"], ["audio"]]
    assert updates[-1]["audio"]["output"]["speed"] == 1.2
    assert updates[-1]["audio"]["input"]["transcription"]["model"] == "gpt-4o-mini-transcribe"
    assert complaints == []


async def test_a_server_that_goes_away_is_told_in_words(tmp_path: Path) -> None:
    microphone = spoken(tmp_path / "mic.wav")
    async with chromium(microphone=microphone) as browser:
        page = await browser.new_page()
        async with serving(scripted(webrtc_hosts="127.0.0.1")) as base_url:
            await opened(page, base_url)
            await page.get_by_role("button", name="Start talking").click()
            await expect(page.get_by_role("status")).to_have_text("Listening", timeout=20_000)
        await expect(page.get_by_role("alert")).to_contain_text("lost", timeout=20_000)
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.get_by_role("alert")).to_contain_text("does not answer")


async def test_a_wrong_key_is_told_in_words(tmp_path: Path) -> None:
    config = scripted(playground="key", webrtc_hosts="127.0.0.1")
    microphone = spoken(tmp_path / "mic.wav")  # Chromium's own beeps are heard as speech
    async with serving(config) as base_url, chromium(microphone=microphone) as browser:
        page = await browser.new_page()
        await opened(page, base_url)
        await page.get_by_role("button", name="Start talking").click()
        await page.get_by_label("Key of this server").fill("sk-wrong")
        await page.get_by_role("button", name="Use it").click()
        await expect(page.get_by_role("alert")).to_contain_text("That key is not right")
        await page.get_by_label("Key of this server").fill(KEY)
        await page.get_by_role("button", name="Use it").click()
        await expect(page.get_by_role("status")).to_have_text("Listening", timeout=20_000)
        await expect(page.get_by_role("alert")).to_be_hidden()


# With a real engine


def small(**settings: Any) -> ServerConfig:
    """The `light` engine with the small weights, reached by calls from this machine."""
    for name in ("silero-vad", "whisper-tiny.en", "smollm2-135m-instruct-q4_1"):
        weights(name)
    given = {"engine": "light", "profile": "small", "port": 0, "api_key": KEY, "max_sessions": 1}
    return ServerConfig(**{**given, "webrtc_hosts": "127.0.0.1", **settings})


@pytest.mark.weights
async def test_a_real_engine_hears_a_spoken_question_and_answers_in_words(tmp_path: Path) -> None:
    question = recording("06_af_nova.wav").speech
    microphone = spoken(tmp_path / "mic.wav", silence(2), question)
    async with serving(small()) as base_url, chromium(microphone=microphone) as browser:
        page = await browser.new_page()
        complaints = await opened(page, base_url)
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.locator(".turn.user .words")).to_contain_text("ounces", timeout=30_000)
        answer = page.locator(".turn.assistant")
        await expect(answer.locator(".words")).to_have_text(re.compile(r"\w+ \w+"), timeout=30_000)
        await expect(answer).to_contain_text(re.compile(r"answered after \d\.\d\d s"))
        await expect(page.get_by_role("alert")).to_be_hidden()
    assert complaints == []


@pytest.mark.weights
async def test_a_real_engine_keeps_only_the_words_that_were_heard(serve_weights: Serve) -> None:
    config = small(
        instructions="You are a storyteller. Tell a long story about what the user says."
    )
    async with serve_weights(config) as base_url, chromium() as browser:
        page = await browser.new_page()
        await give_microphone(page)
        await overhear(page)
        await opened(page, base_url)
        await page.get_by_role("button", name="Start talking").click()
        await expect(page.get_by_role("status")).to_have_text("Listening", timeout=20_000)
        await say(page, recording("librivox_0880.wav").speech)
        # Words come with the first of their sound: some are unheard when there are new ones.
        await page.wait_for_function(
            "() => document.querySelector('.turn.assistant .words')?.textContent.length > 40",
            timeout=30_000,
        )
        await say(page, recording("05_am_puck.wav").speech)
        await expect(page.locator(".turn.user .words").nth(1)).to_contain_text(
            "asked", timeout=30_000
        )
        story = page.locator(".turn.assistant").first
        await expect(story).to_contain_text("interrupted: the words that were heard")
        heard = await story.locator(".words").inner_text()
        written = await page.evaluate(
            "told.find((e) => e.type === 'response.output_audio_transcript.done').transcript"
        )
    assert heard and written.startswith(heard), (heard, written)
    assert len(heard) < len(written)
