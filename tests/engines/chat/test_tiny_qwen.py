"""The engine `chat` and Qwen2.5-Omni: what its requests carry is what the real processor takes."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pytest
from PIL import Image

from duologue.audio import pcm as audio
from duologue.core.talk import Ask, Began, Done, Item, Part, ReplyEvent, Say
from duologue.engines.chat.engine import ChatEngine
from duologue.engines.chat.request import Model
from duologue.engines.composed.engine import ComposedEngine
from duologue.engines.remote.chat_mind import ChatMind
from duologue.errors import EngineFault
from duologue.remote.server import RemoteServer
from duologue.runtime.ports import Talk
from duologue.testing.chat_stand_in import standing_in
from engines.composed.parts_kit import ScriptedEar, ScriptedMouth
from random_weights import need_torch

if TYPE_CHECKING:
    from engines.chat.tiny_qwen_server import TinyQwenServer

pytestmark = pytest.mark.slow

MOST_STEPS = 3000
"""Of a reply that nobody interrupts: several seconds."""

TOKEN_MS = 40
"""Of sound that one token of Qwen2.5-Omni stands for."""

CODE_SAMPLES = 480
"""At 24 kHz, of each code of its talker; this one makes two codes a token."""


def sine(hz: int, ms: int) -> bytes:
    """A pure tone as sessions hold sound: 24 kHz, s16le."""
    steps = np.arange(audio.RATE_HZ * ms // 1000) * (2 * np.pi * hz / audio.RATE_HZ)
    return (8000 * np.sin(steps)).astype(np.int16).tobytes()


def heard(name: str, hz: int, ms: int, *more: Part) -> Item:
    return Item(name, "user", (Part(pcm=sine(hz, ms)), *more))


def picture(width: int, height: int, colour: str) -> Part:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return Part(image_url="data:image/png;base64," + base64.b64encode(file.getvalue()).decode())


class Serve(Protocol):
    def __call__(self, *, limit: int = ..., window: int = ...) -> "TinyQwenServer": ...


@pytest.fixture(scope="module")
def serve() -> Serve:
    """Makes servers of one model. PyTorch is imported here, for tests that are run."""
    need_torch()
    from engines.chat.tiny_qwen import TinyQwen
    from engines.chat.tiny_qwen_server import TinyQwenServer

    return partial(TinyQwenServer, TinyQwen())


@asynccontextmanager
async def talking(server: "TinyQwenServer", *, context_tokens: int = 16_384) -> AsyncIterator[Talk]:
    async with standing_in(server) as url:
        engine = ChatEngine([url], Model("tiny-qwen", ("Chelsie",)), context_tokens=context_tokens)
        try:
            yield await engine.open(Ask())
        finally:
            await engine.aclose()


async def replied(talk: Talk, ask: Ask | None = None) -> list[ReplyEvent]:
    return [event async for event in talk.reply(ask or Ask())]


def text(events: list[ReplyEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Say))


def loudest_hz(server: "TinyQwenServer", sound: int) -> float:
    """Where the processor's own mel bands put the most of a sound's energy."""
    inputs = server.readings[0].inputs
    mask = inputs["feature_attention_mask"][sound].bool()
    bands = inputs["input_features"][sound][:, mask].mean(1).numpy()
    filters = np.asarray(server.model.features.mel_filters)[:, bands.argmax()]
    return float(filters.argmax() * (server.model.features.sampling_rate / 2) / (len(filters) - 1))


async def test_each_sound_and_image_comes_to_the_model_as_it_was(serve: Serve) -> None:
    server = serve()
    async with talking(server) as talk:
        talk.put(heard("u1", 1000, 2000, picture(84, 56, "red"), Part("What is this?")))
        talk.put(Item("a1", "assistant", (Part("It is red."),)))
        talk.put(heard("u2", 3000, 520))
        events = await replied(talk, Ask(instructions="Be brief."))
    (reading,) = server.readings
    assert reading.formats == [(24_000, 1, 48_000), (24_000, 1, 12_480)]
    assert reading.audio_tokens == [2000 // TOKEN_MS, 520 // TOKEN_MS]
    assert [round(loudest_hz(server, n), -2) for n in (0, 1)] == [1000, 3000]
    assert reading.image_tokens == [84 // 28 * (56 // 28)]
    pixels = reading.inputs["pixel_values"].reshape(-1, 3, 2 * 14 * 14).mean((0, 2)).numpy()
    eye = server.model.processor.image_processor
    assert np.allclose(pixels * eye.image_std + eye.image_mean, [1, 0, 0], atol=0.01)
    # Words and placeholders stand in the order of the conversation.
    assert reading.prompt == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n<|audio_bos|><|AUDIO|><|audio_eos|>"
        "<|vision_bos|><|IMAGE|><|vision_eos|>What is this?<|im_end|>\n"
        "<|im_start|>assistant\nIt is red.<|im_end|>\n"
        "<|im_start|>user\n<|audio_bos|><|AUDIO|><|audio_eos|><|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    # And what the model says comes back whole, with its own count of what it read.
    pcm = b"".join(event.pcm for event in events if isinstance(event, Say))
    assert len(text(events)) == 16 and len(pcm) == 2 * 16 * CODE_SAMPLES * audio.SAMPLE_BYTES
    assert np.abs(np.frombuffer(pcm, np.int16)).max() > 10_000
    told = [event for event in events if isinstance(event, Began)][-1].input
    assert told["audio"] == 50 + 13 and told["image"] == 6
    assert told["text"] == reading.tokens - 50 - 13 - 6
    done = events[-1]
    assert isinstance(done, Done) and done.reason == "completed"


async def test_what_is_said_depends_on_what_was_heard_and_seen(serve: Serve) -> None:
    said = []
    turns = [heard("u", 300, 700), heard("u", 300, 700), heard("u", 2500, 700)]
    turns += [heard("u", 300, 700, picture(56, 56, colour)) for colour in ("blue", "yellow")]
    for turn in turns:
        server = serve()
        async with talking(server) as talk:
            talk.put(turn)
            said.append(text(await replied(talk, Ask(speak=False))))
    assert said[0] == said[1] and len({said[0], *said[2:]}) == 4


async def test_a_reply_ends_at_the_limit_that_it_was_asked_for(serve: Serve) -> None:
    server = serve()
    async with talking(server) as talk:
        talk.put(heard("u", 300, 200))
        events = await replied(talk, Ask(max_tokens=5))
    assert server.readings[0].thinker.count == len(text(events)) == 5
    assert isinstance(events[-1], Done) and events[-1].reason == "length"


async def test_of_a_long_history_the_end_is_sent_whole(serve: Serve) -> None:
    server = serve()
    async with talking(server, context_tokens=2048) as talk:
        for number in range(60):
            talk.put(heard(f"u{number}", 300, 1000, Part(f"Question {number}.")))
            talk.put(Item(f"a{number}", "assistant", (Part(f"Answer {number}."),)))
        talk.put(heard("last", 3000, 1000))
        await replied(talk, Ask(instructions="Be brief.", speak=False))
    (reading,) = server.readings
    count = len(reading.formats)
    assert 10 < count < 60 and reading.audio_tokens == [25] * count
    assert reading.prompt.startswith("<|im_start|>system\nBe brief.<|im_end|>\n")
    first = 61 - count
    assert f"Question {first}." in reading.prompt and f"Question {first - 1}." not in reading.prompt
    assert loudest_hz(server, count - 1) > 2900


async def test_a_history_that_is_too_long_for_the_model_is_refused_by_name(
    serve: Serve,
) -> None:
    """Sound counts as 12.5 tokens a second here, as Qwen3-Omni has it, and 25 there."""
    server = serve(window=600)
    async with talking(server, context_tokens=2048) as talk:
        talk.put(heard("u", 300, 25_000))
        with pytest.raises(EngineFault) as fault:
            await replied(talk)
        assert server.readings[0].audio_tokens == [625]
        assert fault.value.code == "context_length_exceeded"
        talk.drop("u")
        talk.put(heard("v", 300, 500))
        assert len(text(await replied(talk))) == 16


async def test_the_model_reads_of_an_answer_only_what_was_heard(serve: Serve) -> None:
    server = serve()
    async with talking(server) as talk:
        talk.put(heard("u1", 300, 400))
        talk.put(Item("a1", "assistant", (Part("It is sunny in Paris."),)))
        talk.cut("a1", 400, "It is")
        talk.put(heard("u2", 500, 400))
        talk.drop("u1")
        talk.put(heard("u3", 3000, 400))
        await replied(talk)
    (reading,) = server.readings
    assert reading.prompt.startswith("<|im_start|>assistant\nIt is<|im_end|>\n<|im_start|>user\n")
    assert "sunny" not in reading.prompt
    assert reading.audio_tokens == [10, 10]
    assert [round(loudest_hz(server, n), -2) for n in (0, 1)] == [500, 3000]


async def test_closing_a_reply_stops_the_model_between_two_words(serve: Serve) -> None:
    server = serve(limit=MOST_STEPS)
    async with talking(server) as talk, asyncio.timeout(60):
        talk.put(heard("u", 300, 400))
        said = ""
        async with aclosing(talk.reply(Ask(speak=False))) as events:  # type: ignore[type-var]
            async for event in events:  # type: ignore[attr-defined]
                said += event.text if isinstance(event, Say) else ""
                if len(said) >= 5:
                    break
        await server.until(lambda it: it.aborts == 1 and not it.at_work)
    assert 5 <= server.readings[0].thinker.count < MOST_STEPS


@pytest.mark.parametrize("stage", ["thinker", "talker"])
async def test_a_barge_in_before_the_first_sound_stops_the_stage_at_work(
    serve: Serve, stage: str
) -> None:
    limits = {"thinker": MOST_STEPS, "talker": 1000}
    server = serve(limit=limits[stage])
    async with talking(server) as talk, asyncio.timeout(60):
        talk.put(heard("u", 300, 400))
        answering = asyncio.create_task(replied(talk))
        if stage == "thinker":
            await server.until(lambda it: bool(it.readings) and it.readings[0].thinker.count > 20)
        else:
            await server.until(lambda it: bool(it.readings) and it.readings[0].talker.count > 20)
        answering.cancel()
        await asyncio.wait([answering])
        await server.until(lambda it: it.aborts == 1 and not it.at_work)
    reading = server.readings[0]
    assert answering.cancelled()
    if stage == "thinker":
        assert 20 < reading.thinker.count < MOST_STEPS and reading.talker.count == 0
    else:
        assert reading.thinker.count == 1000 and 20 < reading.talker.count < 2000


async def test_a_model_that_hears_is_given_a_voice_of_ours(serve: Serve) -> None:
    """The same model as a language model that takes sound (`llm_hears`): it speaks nothing."""
    server = serve()
    async with standing_in(server) as url:
        remote = RemoteServer(f"{url}#tiny-qwen", "llm", "the language model's server")
        mind = ChatMind(remote, context_tokens=4096, hears=True)
        engine = ComposedEngine(ScriptedEar(), mind, ScriptedMouth())
        try:
            talk = await engine.open(Ask())
            talk.put(heard("u1", 1000, 2000))
            talk.put(Item("a1", "assistant", (Part("It is red."),)))
            talk.put(Item("t", "user", (Part("And"),)))
            talk.put(heard("u2", 3000, 520, Part("this?")))
            events = await replied(talk, Ask(speak=True))
        finally:
            await engine.aclose()
    (reading,) = server.readings
    assert reading.audio_tokens == [2000 // TOKEN_MS, 520 // TOKEN_MS]
    assert [round(loudest_hz(server, n), -2) for n in (0, 1)] == [1000, 3000]
    _, prompt = reading.prompt.split("<|im_end|>\n", 1)  # after the rules for speech
    assert prompt == (
        "<|im_start|>user\n<|audio_bos|><|AUDIO|><|audio_eos|><|im_end|>\n"
        "<|im_start|>assistant\nIt is red.<|im_end|>\n"
        "<|im_start|>user\nAnd<|audio_bos|><|AUDIO|><|audio_eos|>this?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert reading.talker.count == 0
    pcm = b"".join(event.pcm for event in events if isinstance(event, Say))
    assert len(text(events)) == 16 and pcm
    told = [event for event in events if isinstance(event, Began)][-1].input
    assert told == {"audio": 50 + 13, "text": reading.tokens - 63}
