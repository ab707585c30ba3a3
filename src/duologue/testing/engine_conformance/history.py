"""Rules about the history: what was put, dropped and cut is what the next reply reads.

An engine's memory cannot be looked into. What it reads shows in `Began.input`, so the same
history told in two ways must cost the same, and a longer one more.
"""

from msgspec import structs

from duologue.core.talk import Ask, CallPart, Item, Part, Truncation
from duologue.errors import EngineFault
from duologue.runtime.ports import Talk
from duologue.testing.engine_conformance.bench import (
    Bench,
    Broken,
    closing,
    done,
    expect,
    read,
)
from duologue.testing.engine_conformance.rule import rules

LONG_WORDS = 60
HEARD_WORDS = 4


async def _reads(bench: Bench, *items: Item, ask: Ask | None = None) -> int:
    async with bench.talk(*items) as talk:
        return await bench.reads(talk, ask or bench.case.ask)


async def what_is_put_is_read(bench: Bench) -> None:
    """A longer history costs more."""
    short = await _reads(bench, bench.typed)
    item = structs.replace(bench.typed, id="item_first")
    long = await _reads(bench, item, bench.answer(LONG_WORDS), bench.typed)
    expect(long > short, f"reads {short} tokens of one item, {long} of three")


async def what_was_not_heard_is_forgotten(bench: Bench) -> str | None:
    """After `cut` the next reply reads less."""
    if not bench.traits.rewinds:
        return "it does not rewind"
    history = (bench.spoken, bench.answer(LONG_WORDS), bench.typed)
    whole = await _reads(bench, *history)
    async with bench.talk(*history) as talk:
        talk.cut("item_answer", HEARD_WORDS * 250, " ".join(["bread"] * HEARD_WORDS))
        cut = await bench.reads(talk, bench.case.ask)
    expect(cut < whole, f"reads {whole} tokens, and {cut} after a cut to {HEARD_WORDS} words")
    return None


async def what_is_dropped_is_forgotten(bench: Bench) -> str | None:
    """After `drop` the next reply reads what it would had the item never been put."""
    if not bench.traits.rewinds:
        return "it does not rewind"
    never = await _reads(bench, bench.spoken, bench.typed)
    async with bench.talk(bench.spoken, bench.answer(LONG_WORDS), bench.typed) as talk:
        talk.drop("item_answer")
        dropped = await bench.reads(talk, bench.case.ask)
    expect(dropped == never, f"reads {dropped} tokens after a drop, {never} without the item")
    return None


async def unknown_ids_are_passed_over(bench: Bench) -> None:
    """`drop` and `cut` of what is not there, and a guess withdrawn twice, change nothing."""
    plain = await _reads(bench, bench.typed)
    async with bench.talk(bench.typed) as talk:
        try:
            talk.drop("item_nowhere")
            talk.cut("item_nowhere", 0, "")
            talk.expect(None)
            talk.expect(None)
        except Exception as fault:
            raise Broken(f"an unknown id raises {type(fault).__name__}: {fault}") from fault
        expect(
            await bench.reads(talk, bench.case.ask) == plain, "an unknown id changed the history"
        )


async def out_of_band_leaves_no_trace(bench: Bench) -> None:
    """A reply with `keep` False is not remembered; its `context` stands in for the history."""
    ask = bench.case.ask
    history = (bench.spoken, bench.answer(LONG_WORDS), bench.typed)
    plain = await _reads(bench, *history)
    async with bench.talk(*history) as talk:
        done(await read(talk, structs.replace(ask, keep=False)))
        aside = structs.replace(ask, keep=False, context=(bench.typed,))
        alone = await bench.reads(talk, aside)
        expect(alone < plain, f"reads {alone} tokens of a context of one item, {plain} of all")
        done(await read(talk, aside))
        after = await bench.reads(talk, ask)
    expect(after == plain, f"reads {plain} tokens, and {after} after replies out of band")


async def a_late_result_is_read(bench: Bench) -> str | None:
    """The result of a call may come turns later, and twice; each is read."""
    if not bench.traits.tools:
        return "it calls no functions"
    call = Item("item_call", "call", call=CallPart("call_1", bench.tool.name, '{"city":"Oslo"}'))
    ask = structs.replace(bench.case.ask, tools=(bench.tool,), tool_choice="none")
    async with bench.talk(bench.typed, call) as talk:
        counts = [await bench.reads(talk, ask)]
        talk.put(structs.replace(bench.typed, id="item_later"))
        for number in range(2):
            counts.append(await bench.reads(talk, ask))
            # Long, for it may stand in place of words that say that there is none yet.
            text = '{"sky": "' + " ".join(["rain"] * LONG_WORDS * (number + 1)) + '"}'
            result = Item(f"item_result_{number}", "result", (Part(text),), call_id="call_1")
            talk.put(result)
        counts.append(await bench.reads(talk, ask))
        expect(counts == sorted(set(counts)), f"a late result is not read: {counts} tokens")
        done(await read(talk, ask))
    return None


async def a_guess_leaves_no_trace(bench: Bench) -> None:
    """`expect`, withdrawn, replaced or come true, changes nothing that the next reply reads."""
    plain = await _reads(bench, bench.spoken)

    async def is_plain(talk: Talk, how: str) -> None:
        talk.put(bench.spoken)
        got = await bench.reads(talk, bench.case.ask)
        expect(got == plain, f"reads {plain} tokens, and {got} after a guess {how}")

    # Sound that is longer than the guess is so by silence only.
    half = bench.case.pcm[: len(bench.case.pcm) // 4 * 2]
    guess = Item("item_guess", "user", (Part(pcm=half, media_id="guess"),))
    async with bench.talk() as talk:
        talk.expect(guess)
        talk.expect(None)
        await is_plain(talk, "was withdrawn")
    async with bench.talk() as talk:
        talk.expect(guess)
        await is_plain(talk, "was wrong")
    async with bench.talk() as talk:
        talk.configure(bench.case.ask)
        talk.expect(bench.spoken)
        await is_plain(talk, "came true")


async def too_long_a_history_is_refused_where_none_of_it_may_go(bench: Bench) -> None:
    """`context_length_exceeded` before anything is said; the talk goes on."""
    ask = structs.replace(bench.case.ask, truncation=Truncation(allowed=False))
    words = bench.answer(bench.traits.context_tokens)
    async with bench.talk(words, bench.typed) as talk:
        talk.configure(ask)  # what may be left out is a setting of sessions, not of replies
        said = 0
        try:
            async with closing(talk, ask) as reply:
                async for event in reply:
                    said += type(event).__name__ in ("Say", "Call")
        except EngineFault as fault:
            code = fault.code
            expect(code == "context_length_exceeded", f"fails with the code {code!r}")
            expect(not said, "says something before it fails")
        else:
            raise Broken("answers a history that is longer than may be")
        talk.configure(bench.case.ask)
        done(await read(talk, bench.case.ask))


async def what_leaves_no_room_is_not_admitted(bench: Bench) -> str | None:
    """`admit` passes what `reply` answers, refuses only what it could not, and leaves no trace."""
    plain = await _reads(bench, bench.typed)
    huge = structs.replace(bench.case.ask, instructions="bread " * 2 * bench.traits.context_tokens)
    async with bench.talk(bench.typed) as talk:
        await talk.admit(bench.case.ask)
        try:
            await talk.admit(huge)
        except EngineFault as fault:
            code = fault.code
            expect(code == "context_length_exceeded", f"refuses with the code {code!r}")
        else:
            return "it tells when it replies"
        finally:
            reads = await bench.reads(talk, bench.case.ask)
            expect(reads == plain, f"reads {plain} tokens, and {reads} after `admit`")
        try:
            await read(talk, structs.replace(huge, keep=False))
        except EngineFault as fault:
            code = fault.code
            expect(code == "context_length_exceeded", f"the reply fails with the code {code!r}")
        else:
            raise Broken("answers what was not admitted")
    return None


RULES = rules(
    what_is_put_is_read,
    what_was_not_heard_is_forgotten,
    what_is_dropped_is_forgotten,
    unknown_ids_are_passed_over,
    out_of_band_leaves_no_trace,
    a_late_result_is_read,
    a_guess_leaves_no_trace,
    too_long_a_history_is_refused_where_none_of_it_may_go,
    what_leaves_no_room_is_not_admitted,
)
