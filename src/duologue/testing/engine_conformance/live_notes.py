"""Rules about what a model that owns the floor is told, what it calls, and what it counts.

Such a model's memory is its own, and whether it heeds a note is its own affair. What any of them
owes is that no note ends the talk: the user speaks, the notes are given, the user speaks again,
and a model that did something the first time does something then, too.
"""

from collections.abc import Sequence

from msgspec import structs

from duologue.arguments import is_object
from duologue.audio import pcm as audio
from duologue.core.talk import Began, Call, CallPart, Done, Item, LiveEvent, Part, Say
from duologue.errors import EngineFault
from duologue.runtime.ports import LiveTalk
from duologue.testing.engine_conformance.bench import (
    Bench,
    Broken,
    check_counts,
    done,
    expect,
    read,
)
from duologue.testing.engine_conformance.conversation import (
    NOT_DUPLEX,
    NOTHING_SAID,
    check_replies,
    conversation,
    converse,
    is_end,
    is_floor,
    noting,
)
from duologue.testing.engine_conformance.rule import rules

NOWHERE = "item_nowhere"
MOST_RESULTS = 4
MOST_NUDGES = 4
"""A model that calls again at each result, or replies anew to each nudge, is given no more."""


async def what_is_cut_or_dropped_ends_nothing(bench: Bench) -> str | None:
    """`cut` and `drop`, of what was put and of what was not, and the model takes the next turn."""
    if not bench.traits.duplex:
        return NOT_DUPLEX
    said = ""
    replies = 0

    def forget(talk: LiveTalk, event: LiveEvent) -> None:
        """Put what was said as the server does, and take it back: to a word, to none, all."""
        nonlocal said, replies
        said += event.text if isinstance(event, Say) else ""
        if not is_end(event) or not said:
            return
        replies += 1
        item_id = f"item_answer_{replies}"
        with noting("a reply that is put, cut or dropped"):
            talk.put(Item(item_id, "assistant", (Part(said),)))
            talk.cut(item_id, 250, said.split(" ")[0])
            talk.cut(item_id, 0, "")
            talk.drop(item_id)
        _forget_nothing(talk, item_id)
        said = ""

    async with conversation(bench, forget) as talking:
        _forget_nothing(talking.talk, NOWHERE)
        before = await talking.turn()
        with noting("an item that is put and dropped"):
            talking.talk.put(bench.typed)
            talking.talk.drop(bench.typed.id)
        _forget_nothing(talking.talk, bench.typed.id)
        await talking.expect_more(before, "`cut` and `drop`")
    return None


def _forget_nothing(talk: LiveTalk, item_id: str) -> None:
    with noting("an unknown id that is cut or dropped"):
        talk.cut(item_id, 0, "")
        talk.drop(item_id)


async def what_a_reply_counts_adds_up(bench: Bench) -> str | None:
    """No count is below 0, and what was cached is within what was read."""
    if not bench.traits.duplex:
        return NOT_DUPLEX
    events, _ = await converse(bench)
    counted = [event for event in events if isinstance(event, Began | Say | Call | Done)]
    check_counts(counted)
    return None if counted else NOTHING_SAID


async def what_it_calls_is_whole_and_may_be_answered(bench: Bench) -> str | None:
    """Calls in order, each named, ended, a JSON object; with the results the model goes on."""
    if not bench.traits.duplex:
        return NOT_DUPLEX
    if not bench.traits.tools:
        return "it calls no functions"
    forced = structs.replace(
        bench.case.ask,
        tools=(bench.tool,),
        tool_choice=f"function:{bench.tool.name}",
        max_tokens=None,
    )
    arguments: dict[int, str] = {}
    results = 0

    def answer(talk: LiveTalk, event: LiveEvent) -> None:
        """Put a call that is whole, and its result at once."""
        nonlocal results
        if is_floor(event, "reply_starts"):
            arguments.clear()
        if not isinstance(event, Call):
            return
        arguments[event.index] = arguments.get(event.index, "") + event.delta
        if not event.final or results == MOST_RESULTS:
            return
        results += 1
        call = CallPart(f"call_{results}", bench.tool.name, arguments[event.index])
        with noting("a call's result that is put"):
            talk.configure(structs.replace(forced, tool_choice="auto"))
            talk.put(Item(f"item_call_{results}", "call", call=call))
            part = Part('{"sky": "clear"}')
            talk.put(Item(f"item_result_{results}", "result", (part,), call_id=call.call_id))

    async with conversation(bench, answer, forced) as talking:
        before = await talking.turn()
        await talking.expect_more(before, "the result of a call" if results else "its turn")
    _check_calls(talking.events, bench.tool.name)
    return None if any(isinstance(event, Call) for event in talking.events) else "it called nothing"


def _check_calls(events: Sequence[LiveEvent], name: str) -> None:
    """Each reply has calls of its own. One that yields or fails may leave the last call open."""
    found: dict[int, list[Call]] = {}
    for event in events:
        if is_floor(event, "reply_starts"):
            found = {}
        elif isinstance(event, Done):
            is_open = [index for index, pieces in found.items() if not pieces[-1].final]
            expect(not is_open, f"a reply is done, and its calls {is_open} are not final")
        elif isinstance(event, Call):
            if event.index not in found:
                last = max(found, default=-1)
                expect(event.index > last, f"call {event.index} begins after call {last}")
                expect(event.name == name, f"the first piece names {event.name!r}")
            pieces = found.setdefault(event.index, [])
            expect(not pieces or not pieces[-1].final, "a piece of a call that was final")
            pieces.append(event)
            arguments = "".join(piece.delta for piece in pieces)
            is_right = not event.final or is_object(arguments)
            expect(is_right, f"arguments that are no JSON object: {arguments[:80]!r}")


async def nudged_or_told_what_was_played_it_goes_on(bench: Bench) -> str | None:
    """`nudge` at any time, `played` of any item, and the model takes the next turn."""
    if not bench.traits.duplex:
        return NOT_DUPLEX
    samples = nudges = 0

    def tell(talk: LiveTalk, event: LiveEvent) -> None:
        """Ask for more as a reply begins, and say of all sound that it has gone out."""
        nonlocal samples, nudges
        if is_floor(event, "reply_starts"):
            samples = 0
            nudges += 1
            if nudges <= MOST_NUDGES:
                _nudge(talk, bench)
        elif isinstance(event, Say):
            samples += audio.samples(event.pcm)
            _play(talk, "item_answer", samples)

    async with conversation(bench, tell) as talking:
        before = await talking.turn()
        since = len(talking.events)
        _play(talking.talk, NOWHERE, audio.RATE_HZ)
        _nudge(talking.talk, bench)
        _nudge(talking.talk, bench)
        if any(is_floor(event, "reply_starts") for event in before):
            await talking.answered(since)
        await talking.expect_more(before, "`nudge` and `played`")
    check_replies(talking.events, nudged=True)
    return None


def _nudge(talk: LiveTalk, bench: Bench) -> None:
    with noting("`nudge`"):
        talk.nudge(bench.case.ask)


def _play(talk: LiveTalk, item_id: str, samples: int) -> None:
    with noting("`played`"):
        talk.played(item_id, samples)


async def what_is_asked_beside_it_is_answered_or_refused(bench: Bench) -> str | None:
    """A reply out of band ends by `Done` or fails by `EngineFault`; the model listens on."""
    if not bench.traits.duplex:
        return NOT_DUPLEX
    async with conversation(bench) as talking:
        before = await talking.turn()
        for context in ((bench.typed,), None):
            ask = structs.replace(bench.case.ask, keep=False, context=context)
            try:
                done(await read(talking.talk, ask))
            except EngineFault:
                pass
            except Broken:
                raise
            except Exception as fault:
                name = type(fault).__name__
                raise Broken(f"a reply out of band is refused by {name}: {fault}") from fault
        await talking.expect_more(before, "a reply out of band")
    return None


RULES = rules(
    what_is_cut_or_dropped_ends_nothing,
    what_a_reply_counts_adds_up,
    what_it_calls_is_whole_and_may_be_answered,
    nudged_or_told_what_was_played_it_goes_on,
    what_is_asked_beside_it_is_answered_or_refused,
)
