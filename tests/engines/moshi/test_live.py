"""The engine as a server has it: real asyncio, the real model with random weights, the port."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from random_weights import skip_module_without_torch

skip_module_without_torch()

from duologue.config import ServerConfig  # noqa: E402
from duologue.core.talk import Ask, Began, Done, Floor, LiveEvent, Say  # noqa: E402
from duologue.engines.moshi.engine import MoshiEngine, fit  # noqa: E402
from duologue.engines.moshi.frames import FRAME_BYTES  # noqa: E402
from duologue.engines.moshi.model import MoshiFrames  # noqa: E402
from duologue.errors import EngineBusy, ModelFault  # noqa: E402
from duologue.gateway.compose import compose  # noqa: E402
from duologue.runtime.ports import LiveTalk  # noqa: E402
from weights import STORE  # noqa: E402

pytestmark = pytest.mark.slow

ASK = Ask()
FRAMES = 20


@pytest.fixture
async def engine(weights: Any) -> AsyncIterator[MoshiEngine]:
    model = await asyncio.to_thread(MoshiFrames, weights, 4)
    engine = MoshiEngine(model, weights.vocabulary, weights.moshi.config.sliding_window, seed=3)
    yield engine
    await engine.aclose()
    assert not [thread for thread in threading.enumerate() if thread.name == "moshi"]


def line(seed: int, frames: int = FRAMES) -> bytes:
    draw = np.random.default_rng(seed)
    return (draw.normal(size=frames * FRAME_BYTES // 2) * 3000).astype("<i2").tobytes()


async def frames_of(talk: LiveTalk, pcm: bytes, chunk_bytes: int) -> list[LiveEvent]:
    """What the model does on a line, up to its last frame of a reply."""
    said, events = 0, []
    async with aclosing(talk.live(ASK)) as live, asyncio.timeout(60):  # type: ignore[type-var]
        for start in range(0, len(pcm), chunk_bytes):
            talk.hear(pcm[start : start + chunk_bytes])
            await asyncio.sleep(0)  # sound comes piece by piece, not all in one turn of the loop
        async for event in live:
            events.append(event)
            said += event.tokens if isinstance(event, Say) else 0
            if said >= FRAMES // 2:
                break
    return events


async def test_it_babbles_words_with_their_sound_in_the_order_of_the_port(
    engine: MoshiEngine,
) -> None:
    talk = await engine.open(ASK)
    events = await frames_of(talk, line(1), 1920)
    await talk.aclose()
    replies = [e for e in events if not (isinstance(e, Floor) and e.kind.startswith("user"))]
    assert isinstance(replies[0], Floor)
    assert replies[0].kind == "reply_starts"
    assert isinstance(replies[1], Began)
    said, voiced, text = 0, 0, ""
    for event in replies[2:]:
        assert isinstance(event, Say)
        assert len(event.pcm) == event.tokens * FRAME_BYTES
        text += event.text
        assert voiced <= event.voiced <= len(text)
        said, voiced = said + event.tokens, event.voiced
    assert said >= FRAMES // 2
    assert text == text.lstrip()
    assert any(word.isalpha() for word in text.split())
    assert voiced > 0


async def test_a_conversation_is_the_same_among_others_as_alone(engine: MoshiEngine) -> None:
    talk = await engine.open(ASK)
    alone = await frames_of(talk, line(1), FRAME_BYTES)
    await talk.aclose()
    talks = [await engine.open(ASK) for _ in range(4)]
    results = await asyncio.gather(
        *(frames_of(talk, line(n), 1000 * n) for n, talk in enumerate(talks, start=1))
    )
    assert results[0] == alone
    assert results[1] != alone
    with pytest.raises(EngineBusy):
        await engine.open(ASK)
    await talks[2].aclose()
    again = await engine.open(ASK)
    assert await frames_of(again, line(1), 777) == alone
    for talk in (*talks, again):
        await talk.aclose()


async def test_as_many_places_as_asked_for_are_kept_up_with(weights: Any) -> None:
    model = await asyncio.to_thread(fit, lambda slots: MoshiFrames(weights, slots), 2)
    assert 1 <= model.slots <= 2


async def test_a_server_is_composed_around_it_by_its_settings(directory: Path) -> None:
    config = ServerConfig(
        engine="moshi",
        moshi_model=str(directory),
        device="cpu",
        max_sessions=2,
        threads=1,
        vad="loudness",
        turn_end="loudness",
        stt="http://127.0.0.1:9/v1#whisper",
        models_dir=str(STORE),
    )
    parts = await compose(config)
    try:
        shown = parts.engine.traits.shown()
        assert (shown.end_to_end, shown.duplex, shown.tools) == (True, True, False)
        assert shown.context_tokens == 40
        talk = await parts.engine.open(ASK)
        assert not any(isinstance(e, Done) for e in await frames_of(talk, line(2), 1920))  # type: ignore[arg-type]
        await talk.aclose()
    finally:
        await parts.aclose()


async def test_weights_that_are_not_there_are_named_before_serving(tmp_path: Path) -> None:
    config = ServerConfig(engine="moshi", moshi_model=str(tmp_path / "none"))
    with pytest.raises(ModelFault, match="there is no model at"):
        await compose(config)
