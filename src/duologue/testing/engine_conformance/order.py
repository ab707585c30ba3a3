"""Rules about the events of one reply: their order, their text, sound, calls and counts."""

from msgspec import structs

from duologue.arguments import is_object
from duologue.core.talk import Began, Call, Done, ReplyEvent, Say
from duologue.testing.engine_conformance.bench import (
    Bench,
    calls,
    check_counts,
    done,
    expect,
    read,
    says,
    short,
)
from duologue.testing.engine_conformance.rule import rules


async def _replies(bench: Bench) -> list[list[ReplyEvent]]:
    """A reply to sound, then one to text."""
    async with bench.talk(bench.spoken) as talk:
        first = await read(talk, bench.case.ask)
        talk.put(bench.typed)
        return [first, await read(talk, bench.case.ask)]


async def began_before_all(bench: Bench) -> None:
    """`Began` comes before the first `Say` or `Call`."""
    for events in await _replies(bench):
        kinds = [type(event) for event in events]
        expect(Began in kinds, f"no Began: {short(events)}")
        said = [index for index, kind in enumerate(kinds) if kind in (Say, Call)]
        expect(not said or kinds.index(Began) < said[0], f"Began too late: {short(events)}")


async def one_done_at_the_end(bench: Bench) -> None:
    """There is one `Done`, and nothing after it."""
    for events in await _replies(bench):
        ends = sum(isinstance(event, Done) for event in events)
        expect(ends == 1, f"{ends} Done where there should be one: {short(events)}")
        done(events)


async def says_something(bench: Bench) -> None:
    """A spoken reply has sound and says its text; one that shall not be spoken has no sound."""
    async with bench.talk(bench.spoken) as talk:
        if bench.traits.audible or bench.traits.speaks:
            events = await read(talk, structs.replace(bench.case.ask, speak=True))
            expect(any(say.pcm for say in says(events)), f"no sound: {short(events)}")
        events = await read(talk, structs.replace(bench.case.ask, speak=False))
        expect(not any(say.pcm for say in says(events)), "sound where speak is False")
        expect(any(say.text for say in says(events)), f"no text: {short(events)}")


async def voiced_is_true(bench: Bench) -> None:
    """`voiced` never goes back and never beyond the text that was sent with or before it."""
    for events in await _replies(bench):
        sent = voiced = 0
        for event in events:
            if isinstance(event, Call):
                sent = voiced = 0  # text after a call is a new message
            if not isinstance(event, Say):
                continue
            sent += len(event.text)
            if event.pcm or event.voiced:
                expect(event.voiced >= voiced, f"voiced went back: {voiced}, {event.voiced}")
                expect(event.voiced <= sent, f"voiced {event.voiced} of {sent} characters sent")
                voiced = event.voiced


async def sound_is_whole_samples(bench: Bench) -> None:
    """Each piece of sound is whole 16-bit samples."""
    for events in await _replies(bench):
        odd = [len(say.pcm) for say in says(events) if len(say.pcm) % 2]
        expect(not odd, f"sound of {odd[:3]} bytes: samples have two")


async def usage_adds_up(bench: Bench) -> None:
    """No count is below 0, `cached` is within `input`, what is said costs tokens."""
    for events in await _replies(bench):
        check_counts(events)
        last = [event for event in events if isinstance(event, Began)][-1:]
        read_all = sum(sum(began.input.values()) for began in last)
        expect(read_all > 0, "a reply to a question that reads nothing")
        spent = [event.tokens for event in events if not isinstance(event, Began)]
        if any(say.text for say in says(events)):
            expect(sum(spent) > 0, "words that cost no tokens")


async def max_tokens_is_a_bound(bench: Bench) -> None:
    """No more tokens than `max_tokens` are generated."""
    async with bench.talk(bench.typed) as talk:
        for most in (1, 3):
            events = await read(talk, structs.replace(bench.case.ask, max_tokens=most))
            spent = sum(event.tokens for event in events if not isinstance(event, Began))
            expect(spent <= most, f"{spent} tokens where {most} were allowed")


async def calls_are_whole(bench: Bench) -> str | None:
    """A call begins with its name, ends with `final`, and its arguments are a JSON object."""
    if not bench.traits.tools:
        return "it calls no functions"
    ask = structs.replace(
        bench.case.ask,
        tools=(bench.tool,),
        tool_choice=f"function:{bench.tool.name}",
        parallel_calls=False,
        max_tokens=None,
    )
    async with bench.talk(bench.typed) as talk:
        events = await read(talk, ask)
        found: dict[int, list[Call]] = {}
        for piece in calls(events):
            found.setdefault(piece.index, []).append(piece)
        expect(found, f"no call where one was demanded: {short(events)}")
        expect(len(found) == 1, "several calls where parallel_calls is False")
        for pieces in found.values():
            expect(pieces[0].name == bench.tool.name, f"the first piece names {pieces[0].name!r}")
            expect(
                [piece.final for piece in pieces] == [False] * (len(pieces) - 1) + [True]
                or (len(pieces) == 1 and pieces[0].final),
                "a call that is not final at its end, or before it",
            )
            arguments = "".join(piece.delta for piece in pieces)
            expect(is_object(arguments), f"arguments that are no JSON object: {arguments[:80]!r}")
        forbidden = structs.replace(ask, tool_choice="none", max_tokens=bench.case.ask.max_tokens)
        expect(not calls(await read(talk, forbidden)), "a call where tool_choice is none")
    return None


RULES = rules(
    began_before_all,
    one_done_at_the_end,
    says_something,
    voiced_is_true,
    sound_is_whole_samples,
    usage_adds_up,
    max_tokens_is_a_bound,
    calls_are_whole,
)
