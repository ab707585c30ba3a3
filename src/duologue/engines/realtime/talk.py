"""One conversation with the upstream: notes and asks in, orders to the link and replies out.

The history is kept here as it was put, dropped and cut, so that an upstream session that ended
is opened again with it by the next ask. Every order carries in its `event_id` what it is about,
so that an error of the upstream finds what it refuses:

    configure | configure opening | hearing N | put ITEM | cut ITEM | drop ITEM | ask N | cancel N
"""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import structs

from duologue.core.talk import Ask, Done, Item, ReplyEvent
from duologue.engines.counted import Counted
from duologue.engines.pace import Pace
from duologue.engines.realtime.asks import check_kind, response_of
from duologue.engines.realtime.conversation import Conversation
from duologue.engines.realtime.ear import UpstreamEar
from duologue.engines.realtime.hearing import WRITTEN, Hearing, why_not
from duologue.engines.realtime.items import is_long
from duologue.engines.realtime.link import Order
from duologue.engines.realtime.reply import Reply
from duologue.engines.realtime.run import Run
from duologue.engines.realtime.runs import Runs
from duologue.engines.realtime.sessions import Sessions
from duologue.engines.realtime.settings import Settings
from duologue.engines.realtime.sound import UpstreamSound
from duologue.engines.realtime.transcripts import Transcripts
from duologue.engines.realtime.upstream import Upstream, traits_of
from duologue.engines.realtime.upstreams import Reach
from duologue.engines.realtime.wire import Fault, UpstreamEvent
from duologue.engines.sizes import input_tokens
from duologue.errors import EngineFault
from duologue.runtime.ports import Traits

logger = logging.getLogger(__name__)

OFF_BY = 4
"""How many times the tokens of the window an upstream may count: what it holds is an assumption."""


class RealtimeTalk:
    """Satisfies `Talk`; `duplex` says for which kind of upstream.

    `reach` begins sessions of the upstream, `told` takes keys out of what that says, `gone`
    is called at the end, `mistaken` where the upstream is of another kind than `duplex` says, and
    `shows` with what another duologue says that it is.
    `voices` are those that it can be asked for (None: any). `transcripts`: the upstream writes
    down what it hears. `opening` are further fields of each session there. `counted` judges what
    the upstream says a reply has cost, with a window of about `context_tokens`.
    """

    duplex = False
    _tells_rate = False
    """Whether the upstream is told the rate of each piece of sound."""

    def __init__(
        self,
        ask: Ask,
        reach: Reach,
        *,
        told: Callable[[str], str],
        gone: Callable[[], None],
        mistaken: Callable[[], None],
        shows: Callable[[Upstream, Traits], None],
        voices: tuple[str, ...] | None,
        pace: Pace | None,
        transcripts: Transcripts | None,
        silence_s: float,
        opening: Mapping[str, Any],
        counted: Counted,
        context_tokens: int,
    ) -> None:
        self._counted = counted
        self._most_tokens = OFF_BY * context_tokens
        self._voices = voices
        self._ask = self._with_voice(ask)
        self._sessions = Sessions(reach, silence_s=silence_s)
        self._told = told
        self._gone = gone
        self._mistaken = mistaken
        self._shows = shows
        self._pace = pace
        self._hearing = Hearing(transcripts, self)
        self._settings = Settings(self._hearing, opening, duplex=self.duplex)
        self._silence_s = silence_s
        self._conversation = Conversation(self._send, replaces=not self.duplex)
        self._numbers = itertools.count(1)
        self._runs = Runs(self._send)
        self._kept: Run | None = None
        """The last run in the default conversation."""
        self._refusal: tuple[str, EngineFault] | None = None
        """An item that the upstream refused and no reply has answered yet, and why."""
        self._reach()

    async def begun(self, patience_s: float) -> EngineFault | None:
        """See `Sessions.begun`."""
        return await self._sessions.begun(patience_s)

    # Notes

    def configure(self, ask: Ask) -> None:
        """See `Talk.configure`."""
        self._ask = self._with_voice(ask)
        if self._sessions.link is not None:
            self._configure()

    async def admit(self, ask: Ask) -> None:
        """The upstream tells when it is asked: how it counts is not known here."""

    def expect(self, item: Item | None) -> None:
        """An upstream cannot be told of guesses."""

    def put(self, item: Item, after: str | None = None) -> None:
        """See `Talk.put`. What the upstream made itself is only named."""
        self._conversation.put(item, after)
        self._hearing.expect(item)
        if not self._claim(item):
            self._conversation.tell(item, after)

    def drop(self, item_id: str) -> None:
        """See `Talk.drop`."""
        self._hearing.forget(item_id)
        if self._refusal is not None and self._refusal[0] == item_id:
            self._refusal = None
        self._conversation.drop(item_id)

    def cut(self, item_id: str, end_ms: int, text: str) -> None:
        """See `Talk.cut`. The upstream cuts what it has said; other text is replaced."""
        self._conversation.cut(item_id, end_ms, text)

    # Replies

    async def reply(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
        """See `Talk.reply`."""
        run = self._begin(ask)
        try:
            while True:
                try:
                    event = await run.next(self._silence_s)
                except TimeoutError:
                    self._hung(run)
                    continue
                yield event
                if isinstance(event, Done):
                    return
        finally:
            run.close()
            self._runs.cancel(run)

    async def aclose(self) -> None:
        """End the upstream session."""
        if self._sessions.closed:
            return
        self._sessions.closed = True
        self._gone()
        self._hearing.leave()
        await self._sessions.aclose()

    def _begin(self, ask: Ask) -> Run:
        if not self._runs.unsaid():
            self._sessions.forget_failures()
        if self._sessions.link is None:
            self._reach()
        ask = self._with_voice(ask)
        run = Run(f"ask {next(self._numbers)}", ask, self._reply_to(ask), self._told)
        if self._refusal is not None:
            (_, fault), self._refusal = self._refusal, None
            run.fail(fault)
            return run
        before = None
        if ask.keep:
            if self._kept is not None:
                self._discard(self._kept)
                before = self._kept.settled
            self._kept = run
        self._request(run, before)
        return run

    def _reply_to(self, ask: Ask) -> Reply:
        items = self._conversation.items if ask.context is None else ask.context
        reads, believes = input_tokens(ask, items), partial(self._believes, ask)
        return Reply(self._pace, reads, believes, ask)

    def _believes(self, ask: Ask, read: int, made: int) -> bool:
        most = self._most_tokens
        made_most = most if ask.max_tokens is None else ask.max_tokens
        return self._counted.is_believed(
            max(1, read), made, context_tokens=most, max_tokens=made_most
        )

    def _request(self, run: Run, before: asyncio.Event | None = None) -> None:
        """Ask for the reply, once what was `before` is settled."""
        ask = run.ask
        response = response_of(ask, self._settings.told)
        response["metadata"] = {"duologue_ask": run.name}
        if ask.context is not None:
            response["input"] = [self._conversation.reference(item) for item in ask.context]
        self._runs.add(run)
        lengthy = any(map(is_long, ask.context or ()))
        event = {"type": "response.create", "event_id": run.name, "response": response}
        self._sessions.send(Order(event, is_long=lengthy, after=before))

    def _with_voice(self, ask: Ask) -> Ask:
        """The ask without a voice that the upstream does not have: it speaks as it likes."""
        if self._voices is None or ask.voice in self._voices:
            return ask
        return structs.replace(ask, voice="")

    def _discard(self, run: Run) -> None:
        """What the core never put is not in its conversation."""
        unclaimed = [name for made in run.unclaimed for name in made.ids if name]
        for upstream_id in (*unclaimed, *run.reply.passed_over):
            self._send("drop", upstream_id, "conversation.item.delete", item_id=upstream_id)
        run.unclaimed.clear()
        run.reply.passed_over.clear()

    # Items

    def _claim(self, item: Item) -> bool:
        """Whether the item is one that the upstream made; if so, their names are joined."""
        if self._kept is None or item.role not in ("assistant", "call"):
            return False
        made = next((m for m in self._kept.unclaimed if m.is_of(item)), None)
        if made is None:
            return False
        self._kept.unclaimed.remove(made)
        if not made.is_all_of(item):
            self._runs.cancel(self._kept)
        self._conversation.learn(item, made)
        return True

    def _send(
        self, what: str, name: str, kind: str, *, is_long: bool = False, **fields: Any
    ) -> None:
        event = {"type": kind, "event_id": f"{what} {name}", **fields}
        self._sessions.send(Order(event, is_long=is_long))

    # The upstream session

    def _reach(self) -> None:
        """Begin an upstream session, with the history there is."""
        self._ear = UpstreamEar(told_rate=self._tells_rate)
        self._sessions.open(self._ear, self._take, self._lost, self._is_idle)
        self._kept = self._refusal = None
        self._sound = UpstreamSound()
        self._settings.begin()
        self._configure()
        self._conversation.begin()

    def _is_idle(self) -> bool:
        """Whether the upstream owes nothing."""
        return self._runs.are_settled

    def _configure(self) -> None:
        for order in self._settings.orders(self._ask):
            self._sessions.send(order)

    def _hung(self, run: Run) -> None:
        """Nothing came of a reply. A session that says nothing of others either is left."""
        fault = EngineFault(f"The upstream has said nothing for {self._silence_s:g} seconds.")
        hangs = self._sessions.hangs
        if run.has_said or not hangs:
            run.fail(fault)
        if hangs:
            self._leave(fault)

    def _leave(self, fault: EngineFault) -> None:
        """Give the upstream session up."""
        if self._sessions.leave(fault):
            self._lost(fault)

    def _lost(self, fault: EngineFault) -> None:
        """The upstream session is over: what has not been answered is asked for elsewhere."""
        unsaid = self._runs.unsaid()
        why = self._sessions.lost(fault, owes=bool(unsaid))
        if why is None:
            self._move(unsaid, fault)
            return
        self._runs.fail(why)
        self._hearing.lost(why)

    def _move(self, unsaid: Sequence[Run], fault: EngineFault) -> None:
        """Go on at another upstream, with the replies of which nothing was passed on."""
        self._runs.fail(fault, but=unsaid)
        kept = self._kept
        self._reach()
        for run in unsaid:
            run.ask_again(self._reply_to(run.ask))
            if run is kept:
                self._kept = run
            self._request(run)

    async def _take(self, event: UpstreamEvent) -> None:
        if event.type == "error":
            self._refused(self._sessions.updates.understood(event.fault))
        elif event.type.startswith(WRITTEN):
            self._transcribed(event)
        elif event.type == "session.created":
            self._check_kind(event.session)
            self._sound.tell(event.session)
            self._ear.tell(event.session, is_answer=False)
            self._sessions.note_begun()
        elif event.type == "session.updated":
            self._sessions.updates.taken()
            self._sound.tell(event.session)
            self._ear.tell(event.session, is_answer=True)
            self._check_formats()
        elif event.type.startswith("response."):
            await self._respond(await self._in_our_format(event))

    async def _in_our_format(self, event: UpstreamEvent) -> UpstreamEvent:
        if event.type == "response.created":
            self._check_formats()
        if event.type != "response.output_audio.delta":
            return event
        self._sound.tell_rate(event.sample_rate_hz)
        if self._sound.is_ours:
            return event
        delta = await asyncio.to_thread(self._sound.convert, event.item_id, event.delta or "")
        return structs.replace(event, delta=delta)

    def _check_formats(self) -> None:
        self._sound.check()
        self._ear.check()

    def _check_kind(self, session: Any) -> None:
        link, traits = self._sessions.link, traits_of(session)
        if link is not None and traits is not None:
            self._shows(link.upstream, traits)
        try:
            check_kind(session, duplex=self.duplex)
        except EngineFault:
            self._mistaken()
            raise

    async def _respond(self, event: UpstreamEvent) -> None:
        run = self._runs.of(event)
        if run is None:
            return
        self._sessions.note_answer()
        await run.take(event)
        if run.reply.over:
            self._runs.settle(run)

    def _transcribed(self, event: UpstreamEvent) -> None:
        self._hearing.take(event, self._told(why_not(event)))

    def _refused(self, error: Fault) -> None:
        """The upstream refuses an order, or says what is wrong with the session."""
        message = self._told(error.message or "It gave no reason.")
        fault = EngineFault(f"The upstream refuses: {message}", error.code or "engine_error")
        what, _, name = (error.event_id or "").partition(" ")
        match what:
            case "configure":
                logger.warning("the upstream refuses the settings of a session: %s", message)
                self._settings.refused(name)
                self._ear.known.set()
            case "hearing":
                logger.warning("the upstream does not transcribe as it was asked to: %s", message)
                self._hearing.refused(name, fault)
            case "cut":
                logger.info("the upstream does not truncate, the item is replaced: %s", message)
                self._conversation.replace(name)
            case "put":
                self._conversation.mirror.forget(name)
                self._refuse_item(name, fault)
            case "drop" | "cancel":
                logger.debug("the upstream had nothing to %s: %s", what, message)
            case "ask":
                self._runs.refuse(error.event_id or "", fault)
            case _:
                link = self._sessions.link
                is_of_none = self._sessions.is_full(fault) or not self._runs.refuse_next(fault)
                if is_of_none and link is not None:
                    link.said = fault
                    logger.warning("the upstream reports an error: %s", message)

    def _refuse_item(self, item_id: str, fault: EngineFault) -> None:
        """The reply that would answer the item fails, be it asked for already or not."""
        run = self._kept
        if run is None or run.settled.is_set() or run.closed:
            self._refusal = item_id, fault
            return
        self._runs.cancel(run)
        run.fail(fault)
