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
from duologue.engines.realtime.asks import check_kind, response_of, session_of
from duologue.engines.realtime.conversation import Conversation
from duologue.engines.realtime.hearing import WRITTEN, Hearing, why_not
from duologue.engines.realtime.items import is_long
from duologue.engines.realtime.link import Link, Order
from duologue.engines.realtime.reply import Reply
from duologue.engines.realtime.run import Run
from duologue.engines.realtime.runs import Runs
from duologue.engines.realtime.sound import UpstreamSound
from duologue.engines.realtime.transcripts import Transcripts
from duologue.engines.realtime.upstreams import FULL, Reach
from duologue.engines.realtime.wire import Fault, UpstreamEvent
from duologue.engines.sizes import input_tokens
from duologue.errors import EngineFault

logger = logging.getLogger(__name__)

OFF_BY = 4
"""How many times the tokens of the window an upstream may count: what it holds is an assumption."""


class RealtimeTalk:
    """Satisfies `Talk`; `duplex` says for which kind of upstream.

    `reach` begins sessions of the upstream, `told` takes keys out of what that says, `gone`
    is called at the end, `mistaken` where the upstream is of another kind than `duplex` says.
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
        self._configured: Ask | None = None
        """What the upstream session was told of, unless it has refused that."""
        self._sessions = reach
        self._told = told
        self._gone = gone
        self._mistaken = mistaken
        self._pace = pace
        self._hearing = Hearing(transcripts, self)
        self._silence_s = silence_s
        self._opening = opening
        self._is_open = False
        """Whether the upstream was told `opening`, and has not refused that."""
        self._conversation = Conversation(self._send, replaces=not self.duplex)
        self._numbers = itertools.count(1)
        self._runs = Runs(self._send)
        self._kept: Run | None = None
        """The last run in the default conversation."""
        self._refusal: tuple[str, EngineFault] | None = None
        """An item that the upstream refused and no reply has answered yet, and why."""
        self._closed = False
        self._begun = asyncio.Event()
        self._fault: EngineFault | None = None
        self._link: Link | None = None
        self._left: set[asyncio.Task[None]] = set()
        """Upstream sessions that hung, until they are closed."""
        self._answered_at = 0.0
        """When the upstream last said something of a reply."""
        self._reach()

    async def begun(self, patience_s: float) -> EngineFault | None:
        """Wait until the upstream session has begun, or why it did not, but not for long."""
        try:
            async with asyncio.timeout(patience_s):
                await self._begun.wait()
        except TimeoutError:
            return None
        return self._fault

    # Notes

    def configure(self, ask: Ask) -> None:
        """See `Talk.configure`."""
        self._ask = self._with_voice(ask)
        if self._link is not None:
            self._configure(self._link)

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
        if self._closed:
            return
        self._closed = True
        self._gone()
        self._hearing.leave()
        if self._link is not None:
            await self._link.aclose()
        if self._left:
            await asyncio.wait(self._left)

    def _begin(self, ask: Ask) -> Run:
        if not self._runs.unsaid():
            self._sessions.forget()
        if self._link is None:
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
        response = response_of(ask, self._configured)
        response["metadata"] = {"duologue_ask": run.name}
        if ask.context is not None:
            response["input"] = [self._conversation.reference(item) for item in ask.context]
        self._runs.add(run)
        lengthy = any(map(is_long, ask.context or ()))
        event = {"type": "response.create", "event_id": run.name, "response": response}
        if self._link is not None:
            self._link.send(Order(event, is_long=lengthy, after=before))

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
        if self._link is not None:
            event = {"type": kind, "event_id": f"{what} {name}", **fields}
            self._link.send(Order(event, is_long=is_long))

    # The upstream session

    def _reach(self) -> Link:
        """Begin an upstream session, with the history there is."""
        if self._closed:
            raise EngineFault("The conversation is over.")
        self._kept = self._refusal = None
        self._configured, self._is_open = None, False
        self._hearing.begin()
        self._sound = UpstreamSound(takes_any=self._tells_rate)
        link = self._link = self._sessions.open(self._take, self._lost, self._is_idle)
        self._configure(link)
        self._conversation.begin()
        return link

    def _is_idle(self) -> bool:
        """Whether the upstream owes nothing."""
        return self._runs.are_settled

    def _configure(self, link: Link) -> None:
        session = session_of(self._ask, self._configured)
        self._tell_settings(link, session)

    def _tell_settings(self, link: Link, session: dict[str, Any]) -> None:
        name, is_long = "configure", False
        if self._opening and not self._is_open:
            name, session, is_long = "configure opening", {**self._opening, **session}, True
            self._is_open = True
        self._configured = self._ask
        event = {"type": "session.update", "event_id": name, "session": session}
        link.send(Order(event, is_long=is_long))
        if heard := self._hearing.update(self._ask):
            name = f"hearing {self._hearing.number}"
            link.send(Order({"type": "session.update", "event_id": name, "session": heard}))

    def _hung(self, run: Run) -> None:
        """Nothing came of a reply. A session that says nothing of others either is left."""
        fault = EngineFault(f"The upstream has said nothing for {self._silence_s:g} seconds.")
        clock = asyncio.get_running_loop().time
        if self._link is None or clock() - self._answered_at < self._silence_s:
            run.fail(fault)
            return
        if run.has_said:
            run.fail(fault)
        self._leave(fault)

    def _leave(self, fault: EngineFault) -> None:
        """Give the upstream session up."""
        if self._link is not None:
            closing = self._link.leave(fault)
            self._left.add(closing)
            closing.add_done_callback(self._left.discard)
            self._lost(fault)

    def _lost(self, fault: EngineFault) -> None:
        """The upstream session is over: what has not been answered is asked for elsewhere."""
        logger.warning("an upstream session ended: %s", fault)
        has_begun = self._link is not None and self._link.has_begun
        self._link = None
        unsaid = self._runs.unsaid()
        if self._sessions.has_other and not self._closed and (unsaid or not has_begun):
            self._move(unsaid, fault)
            return
        fault = self._sessions.why(fault)
        self._sessions.forget()
        self._fault = fault
        self._begun.set()
        self._runs.fail(fault)
        self._hearing.lost(fault)

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
            self._refused(event.fault)
        elif event.type.startswith(WRITTEN):
            self._transcribed(event)
        elif event.type == "session.created":
            self._check_kind(event.session)
            self._sound.tell(event.session)
            self._begun.set()
        elif event.type == "session.updated":
            self._sound.tell(event.session)
            self._sound.check()
        elif event.type.startswith("response."):
            await self._respond(await self._in_our_format(event))

    async def _in_our_format(self, event: UpstreamEvent) -> UpstreamEvent:
        if event.type == "response.created":
            self._sound.check()
        if event.type != "response.output_audio.delta" or self._sound.is_ours:
            return event
        delta = await asyncio.to_thread(self._sound.convert, event.item_id, event.delta or "")
        return structs.replace(event, delta=delta)

    def _check_kind(self, session: Any) -> None:
        try:
            check_kind(session, duplex=self.duplex)
        except EngineFault:
            self._mistaken()
            raise

    async def _respond(self, event: UpstreamEvent) -> None:
        run = self._runs.of(event)
        if run is None:
            return
        self._answered_at = asyncio.get_running_loop().time()
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
                self._is_open = self._is_open and name != "opening"
                self._configured = None  # so that a reply says, and is refused, them all
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
                link = self._link
                # One that is full says so before anything else, and of no reply.
                is_full = link is not None and not link.has_begun and fault.code in FULL
                if (is_full or not self._runs.refuse_next(fault)) and link is not None:
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
