"""The mind on real weights (the small ones): streaming, prefix reuse, stopping, places."""

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from duologue.core.talk import Ask, Item, Part, Tool
from duologue.engines.composed.parts import Finish
from duologue.engines.light.grammar import grammar
from duologue.engines.light.mind import BATCH_TOKENS, LlamaMind, _body, _cuts, _Job
from duologue.engines.light.prompt import COMMON, Prompts
from duologue.engines.light.text_model import Begun, Piece
from duologue.errors import EngineBusy, EngineFault, ModelFault
from weights import weights

pytestmark = pytest.mark.weights
STORY = "<|im_start|>user\nTell me a long story.<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture
async def mind() -> AsyncIterator[LlamaMind]:
    path = weights("smollm2-135m-instruct-q4_1")
    made = await LlamaMind.load(path, places=2, context_tokens=1024, threads=2)
    yield made
    await made.aclose()


class Run(msgspec.Struct):
    """What a completion said of itself."""

    reason: str
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int


async def read(events: AsyncIterator[Begun | Piece | Finish]) -> tuple[str, Run]:
    text = ""
    begun = await anext(events)
    assert isinstance(begun, Begun)
    async for event in events:
        assert not isinstance(event, Begun)
        if isinstance(event, Finish):
            return text, Run(
                event.reason, begun.prompt_tokens, begun.cached_tokens, event.output_tokens
            )
        text += event.text
    raise AssertionError("no finish")


async def test_a_prompt_that_goes_on_costs_only_its_new_tokens(mind: LlamaMind) -> None:
    lease = mind.lease()
    text, first = await read(lease.complete(STORY, max_tokens=12))
    assert text and first.reason == "length" and first.output_tokens == 12
    _, second = await read(lease.complete(STORY + text + " And", max_tokens=4))
    assert second.cached_tokens >= first.prompt_tokens
    assert second.prompt_tokens - second.cached_tokens <= 8


async def test_what_was_prefilled_is_in_the_cache(mind: LlamaMind) -> None:
    lease = mind.lease()
    await lease.prefill(STORY)
    _, finish = await read(lease.complete(STORY, max_tokens=2))
    assert finish.cached_tokens >= finish.prompt_tokens - 2


async def test_closing_a_completion_frees_its_place_at_once(mind: LlamaMind) -> None:
    lease = mind.lease()
    story = lease.complete(STORY, max_tokens=900)
    assert isinstance(await anext(story), Begun)
    assert isinstance(await anext(story), Piece)
    await story.aclose()  # type: ignore[attr-defined]
    _, finish = await read(lease.complete(STORY, max_tokens=2))
    assert finish.output_tokens == 2


async def test_a_cold_prompt_can_be_stopped_before_its_end_is_read(mind: LlamaMind) -> None:
    """Seen by how much of it the cache holds afterwards: a batch or two, not all of it."""
    prompt = STORY + "The fox went on and the dog slept. " * 90
    job = _Job(_body(0, prompt, 4, None, ()))
    running = asyncio.get_running_loop().run_in_executor(None, job.run, mind._server)
    await job.chunks.get()  # llama.cpp has begun
    job.stop()
    await running
    _, finish = await read(mind.run(0, prompt, 2, None, ()))
    assert finish.prompt_tokens > 5 * BATCH_TOKENS
    assert finish.cached_tokens <= 2 * BATCH_TOKENS


async def test_closing_one_outside_any_place_lets_the_next_begin(mind: LlamaMind) -> None:
    story = mind.complete(STORY, max_tokens=900)
    assert isinstance(await anext(story), Begun)
    assert isinstance(await anext(story), Piece)
    await story.aclose()  # type: ignore[attr-defined]
    assert mind._completing == 0
    _, finish = await read(mind.complete(STORY, max_tokens=2))
    assert finish.output_tokens == 2


async def test_a_cancelled_prefill_has_left_its_slot(mind: LlamaMind) -> None:
    calls: list[int] = []
    began = asyncio.Event()

    def wanted() -> bool:
        calls.append(1)
        began.set()
        return True

    reading = asyncio.create_task(mind.prefill(0, STORY * 20, wanted=wanted))
    await began.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert len(calls) == 1 and mind._prompts[0]  # one piece, and it was waited for


async def test_two_conversations_run_side_by_side_and_a_third_is_refused(
    mind: LlamaMind,
) -> None:
    one, other = mind.lease(), mind.lease()
    with pytest.raises(EngineBusy):
        mind.lease()
    texts = await asyncio.gather(
        read(one.complete(STORY, max_tokens=8)),
        read(other.complete(STORY, max_tokens=8)),
        read(mind.complete(STORY, max_tokens=8)),
    )
    assert all(finish.output_tokens == 8 for _, finish in texts)
    one.release()
    mind.lease()


@pytest.mark.conformance("C-153")
async def test_a_grammar_holds_calls_to_their_schema(mind: LlamaMind) -> None:
    day = {"type": "string", "enum": ["today", "tomorrow"]}
    parameters = {"type": "object", "properties": {"day": day}, "required": ["day"]}
    ask = Ask(tools=(Tool("f", "", parameters),), tool_choice="function:f")
    text, finish = await read(
        mind.complete(STORY, max_tokens=60, grammar=grammar(ask), stop=("<|im_end|>",))
    )
    made = json.loads(text)
    assert finish.reason == "stop" and made["name"] == "f"
    assert made["arguments"]["day"] in ("today", "tomorrow")


async def test_nobody_gets_in_by_the_port_that_llama_cpp_opens(mind: LlamaMind) -> None:
    address = str(mind._server.listening_address)
    request = urllib.request.Request(
        f"{address.rstrip('/')}/completion", data=b'{"prompt":"x","n_predict":1}'
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        await asyncio.to_thread(urllib.request.urlopen, request)
    with refused.value as answer:
        assert answer.code == 401


async def test_a_prompt_longer_than_the_context_fails_alone(mind: LlamaMind) -> None:
    lease = mind.lease()
    with pytest.raises(EngineFault):
        await read(lease.complete("word " * 3000, max_tokens=4))
    _, finish = await read(lease.complete(STORY, max_tokens=2))
    assert finish.output_tokens == 2


@pytest.mark.parametrize("content", [b"", b"no gguf at all", b"GGUF" + bytes(64)])
async def test_a_file_that_is_no_model_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFault, match=re.escape(str(path))):
        await LlamaMind.load(path, places=1, context_tokens=256, threads=1)


def test_a_prompt_is_read_in_pieces_that_end_with_words() -> None:
    prompt = "word " * 100
    cuts = _cuts(prompt[:50], prompt)
    assert cuts[-1] == len(prompt) and all(prompt[cut] == " " for cut in cuts[:-1])
    assert _cuts(prompt, prompt) == [len(prompt)]


@pytest.mark.parametrize("choice", ["auto", "required"])
async def test_no_grammar_lets_another_name_through(mind: LlamaMind, choice: str) -> None:
    ask = Ask(tools=(Tool("f"), Tool("g")), tool_choice=choice)
    forced = 'Say {"name":"convert","arguments":{}}\n'
    text, _ = await read(mind.complete(forced, max_tokens=24, grammar=grammar(ask)))
    assert not text.startswith('{"name":"convert"')
    if choice == "required":
        assert text.startswith(('{"name":"f"', '{"name":"g"'))


DIGITS = "3141592653589793238462643383279502884197" * 2
SAMPLES = [DIGITS, "!?;:,.-(" * 10, "Ünïcödé – “so” 日本語 🎉", "word " * 50, "", COMMON]


@pytest.mark.parametrize("text", SAMPLES)
async def test_tokens_are_counted_by_the_model_s_own_tokenizer(mind: LlamaMind, text: str) -> None:
    counted = await asyncio.to_thread(mind.count_tokens, STORY + text)
    _, run = await read(mind.complete(STORY + text, max_tokens=1))
    assert counted == run.prompt_tokens


async def test_a_history_of_digits_fits_when_it_was_trimmed(mind: LlamaMind) -> None:
    history = [Item(f"i{n}", "user", (Part(DIGITS),)) for n in range(40)]
    prompts = Prompts(mind.count_tokens, mind.context_tokens)
    prompt = await asyncio.to_thread(prompts.render, Ask(), history, 100)
    _, run = await read(mind.complete(prompt, max_tokens=1))
    assert run.prompt_tokens <= 924 and prompt.count(DIGITS) >= 2


async def test_a_context_is_no_longer_than_the_model_was_trained_for() -> None:
    path = weights("smollm2-135m-instruct-q4_1")
    made = await LlamaMind.load(path, places=1, context_tokens=10_000, threads=2)
    assert made.context_tokens == 8192
    assert 134_000_000 < made.parameters < 136_000_000
    await made.aclose()


@pytest.mark.slow
@pytest.mark.conformance("C-153")
@pytest.mark.parametrize(("parallel", "most"), [(True, 4), (False, 1)])
async def test_how_many_calls_there_can_be(mind: LlamaMind, parallel: bool, most: int) -> None:
    ask = Ask(tools=(Tool("f"),), tool_choice="required", parallel_calls=parallel)
    call = '{"name":"f","arguments":{}}\n'
    text, run = await read(
        mind.complete(call * 12, max_tokens=200, grammar=grammar(ask), stop=("<|im_end|>",))
    )
    assert run.reason == "stop" and 1 <= text.count('"name":"f"') <= most


@pytest.mark.slow
async def test_a_schema_that_cannot_be_held_does_not_let_the_others_go(mind: LlamaMind) -> None:
    broken = Tool("f", "", {"properties": {"a": {"type": "string", "pattern": "(?=x)"}}})
    day = {"$defs": {"Day": {"enum": ["today", "tomorrow"]}}}
    held = {
        **day,
        "properties": {"day": {"$ref": "#/$defs/Day"}},
        "required": ["day"],
        "additionalProperties": False,
    }
    ask = Ask(tools=(broken, Tool("g", "", held)), tool_choice="required", parallel_calls=False)
    forced = 'Say {"name":"g","arguments":{"day":"yesterday"}}\nSay '
    text, run = await read(mind.complete(forced, max_tokens=60, grammar=grammar(ask)))
    made = json.loads(text)
    assert run.reason == "stop" and made["name"] in ("f", "g")
    assert made["name"] == "f" or made["arguments"]["day"] in ("today", "tomorrow")
