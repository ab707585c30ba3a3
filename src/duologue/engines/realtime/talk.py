"""One conversation with the upstream: notes and asks in, orders to the link and replies out.

The history is kept here as it was put, dropped and cut, so that an upstream session that ended
is opened again with it by the next ask. Every order carries in its `event_id` what it is about,
so that an error of the upstream finds what it refuses:

    configure | put ITEM | cut ITEM | drop ITEM | ask N | cancel N
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from msgspec import structs

from duologue.core.talk import Ask, Done, Item, ReplyEvent
from duologue.engines.history import History
from duologue.engines.pace import Pace
from duologue.engines.realtime.asks import check_format, check_kind, response_of, session_of
from duologue.engines.realtime.items import is_long, wire_item
from duologue.engines.realtime.link import Link, Lost, Order, Take
from duologue.engines.realtime.mirror import Mirror
from duologue.engines.realtime.recent_sound import RecentSound
from duologue.engines.realtime.reply import Made, Reply
from duologue.engines.realtime.run import Run
from duologue.engines.realtime.transcripts import Transcripts
from duologue.engines.realtime.wire import Fault, UpstreamEvent
from duologue.engines.sizes import input_tokens
from duologue.errors import EngineFault

logger = logging.getLogger(__name__)

UNSETTLED = 64
"""Responses whose end the upstream may owe us; of an older one it is not awaited any more."""

TRANSCRIBED = "conversation.item.input_audio_transcription."


class RealtimeTalk:
    """Satisfies `Talk`; `duplex` says for which kind of upstream.

    `open_link` begins a session of the upstream, `told` takes keys out of what that says, `gone`
    is called at the end, `mistaken` where the upstream is of another kind than `duplex` says.
    `voices` are those that it can be asked for (None: any). `transcripts`: the upstream writes
    down what it hears.
    """

    duplex = False

    def __init__(
        self,
        ask: Ask,
        open_link: Callable[[Take, Lost], Link],
        *,
        told: Callable[[str], str],
        gone: Callable[[], None],
        mistaken: Callable[[], None],
        voices: tuple[str, ...] | None,
        pace: Pace | None,
        transcripts: Transcripts | None,
        silence_s: float,
    ) -> None:
        self._voices = voices
        self._ask = self._with_voice(ask)
        self._open_link = open_link
        self._told = told
        self._gone = gone
        self._mistaken = mistaken
        self._pace = pace
        self._transcripts = transcripts
        self._silence_s = silence_s
        self._history = History()
        self._sound = RecentSound(self._history)
        self._numbers = itertools.count(1)
        self._waiting: deque[Run] = deque()
        """Runs whose `response.created` has not come."""
        self._runs: dict[str, Run] = {}
        """Runs that are not settled, by the upstream's id."""
        self._kept: Run | None = None
        """The last run in the default conversation."""
        self._refusal: EngineFault | None = None
        """Why the upstream refused an item that no reply has answered yet."""
        self._closed = False
        self._begun = asyncio.Event()
        self._fault: EngineFault | None = None
        self._mirror = Mirror()
        self._link: Link | None = None
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
        self._history.put(item, after)
        self._sound.put(item)
        if self._transcripts is not None and item.role == "user":
            self._transcripts.expect(self, item)
        if not self._claim(item) and self._link is not None:
            self._create(self._link, item, self._anchor(after))

    def drop(self, item_id: str) -> None:
        """See `Talk.drop`."""
        self._history.drop(item_id)
        self._sound.drop(item_id)
        if self._transcripts is not None:
            self._transcripts.forget(self, item_id)
        self._delete(item_id)

    def cut(self, item_id: str, end_ms: int, text: str) -> None:
        """See `Talk.cut`. The upstream cuts what it has said; other text is replaced."""
        self._history.cut(item_id, text)
        self._sound.drop(item_id)
        if made := self._mirror.sounding(item_id):
            self._truncate(item_id, made, end_ms)
        else:
            self._replace(item_id)

    # Replies

    async def reply(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
        """See `Talk.reply`."""
        run = self._begin(ask)
        try:
            while True:
                event = await run.next(self._silence_s)
                yield event
                if isinstance(event, Done):
                    return
        finally:
            run.close()
            self._cancel(run)

    async def aclose(self) -> None:
        """End the upstream session."""
        if self._closed:
            return
        self._closed = True
        self._gone()
        if self._transcripts is not None:
            self._transcripts.leave(self)
        if self._link is not None:
            await self._link.aclose()

    def _begin(self, ask: Ask) -> Run:
        link = self._link or self._reach()
        ask = self._with_voice(ask)
        reads = input_tokens(ask, self._history.items if ask.context is None else ask.context)
        reply = Reply(self._pace, reads)
        run = Run(f"ask {next(self._numbers)}", ask, reply, self._told)
        if self._refusal is not None:
            fault, self._refusal = self._refusal, None
            run.fail(fault)
            return run
        before = None
        if ask.keep:
            if self._kept is not None:
                self._discard(self._kept)
                before = self._kept.settled
            self._kept = run
        response = response_of(ask, self._mirror.told)
        response["metadata"] = {"duologue_ask": run.name}
        if ask.context is not None:
            response["input"] = [self._reference(item) for item in ask.context]
        self._waiting.append(run)
        lengthy = any(map(is_long, ask.context or ()))
        event = {"type": "response.create", "event_id": run.name, "response": response}
        link.send(Order(event, is_long=lengthy, after=before))
        return run

    def _with_voice(self, ask: Ask) -> Ask:
        """The ask without a voice that the upstream does not have: it speaks as it likes."""
        if self._voices is None or ask.voice in self._voices:
            return ask
        return structs.replace(ask, voice="")

    def _cancel(self, run: Run) -> None:
        """Have the upstream stop, unless it has."""
        if run.cancelled or run.settled.is_set() or self._link is None:
            return
        if not run.response_id and not run.ask.keep:
            return  # it has no name yet: stopped when it gets one
        run.cancelled = True
        event = {"type": "response.cancel", "event_id": f"cancel {run.name}"}
        if run.response_id:
            event["response_id"] = run.response_id
        self._link.send(Order(event))

    def _discard(self, run: Run) -> None:
        """What the core never put is not in its conversation."""
        for made in run.unclaimed:
            for upstream_id in filter(None, made.ids):
                self._send("drop", upstream_id, "conversation.item.delete", item_id=upstream_id)
        run.unclaimed.clear()

    # Items

    def _claim(self, item: Item) -> bool:
        """Whether the item is one that the upstream made; if so, their names are joined."""
        if self._kept is None or item.role not in ("assistant", "call"):
            return False
        made = next((m for m in self._kept.unclaimed if m.is_of(item)), None)
        if made is None:
            return False
        self._kept.unclaimed.remove(made)
        self._mirror.learn(item.id, made, item.call.call_id if item.call else None)
        text = item.parts[0].text or "" if item.parts else ""
        if not made.is_call and not (made.done and text == made.text):
            self._cancel(self._kept)
            if self._mirror.sounding(item.id):
                self._truncate(item.id, made, made.end_ms(text))
            else:
                self._replace(item.id)
        return True

    def _anchor(self, after: str | None) -> str | None:
        """`previous_item_id` for an item after `after`; None is the end."""
        if after is None:
            return None
        return self._mirror.last_id(after) if after else "root"

    def _create(self, link: Link, item: Item, previous_id: str | None) -> None:
        event: dict[str, Any] = {
            "type": "conversation.item.create",
            "event_id": f"put {item.id}",
            "item": {"id": item.id, **wire_item(item, self._mirror.call_name)},
        }
        if previous_id is not None:
            event["previous_item_id"] = previous_id
        self._mirror.sent(item.id)
        link.send(Order(event, is_long=is_long(item)))

    def _delete(self, item_id: str) -> None:
        for upstream_id in self._mirror.forget(item_id):
            self._send("drop", item_id, "conversation.item.delete", item_id=upstream_id)

    def _truncate(self, item_id: str, made: Made, end_ms: int) -> None:
        self._send(
            "cut",
            item_id,
            "conversation.item.truncate",
            item_id=made.ids[0],
            content_index=made.content_index,
            audio_end_ms=end_ms,
        )

    def _replace(self, item_id: str) -> None:
        """Have the item anew, as it is now, in its place."""
        item, before = self._history.find(item_id)
        if item is None or self._link is None:
            return
        self._delete(item_id)
        self._create(self._link, item, self._anchor(before))

    def _reference(self, item: Item) -> dict[str, Any]:
        """An item of a context: by name where the upstream has its sound or image."""
        known = self._mirror.last_id(item.id)
        if known and any(part.pcm or part.image_url for part in item.parts):
            return {"type": "item_reference", "id": known}
        return wire_item(item, self._mirror.call_name)

    def _send(self, what: str, name: str, kind: str, **fields: Any) -> None:
        if self._link is not None:
            self._link.send(Order({"type": kind, "event_id": f"{what} {name}", **fields}))

    # The upstream session

    def _reach(self) -> Link:
        """Begin an upstream session, with the history there is."""
        if self._closed:
            raise EngineFault("The conversation is over.")
        self._mirror = Mirror()
        self._kept = None
        link = self._link = self._open_link(self._take, self._lost)
        self._configure(link)
        for item in self._history.items:
            self._create(link, item, None)
        return link

    def _configure(self, link: Link) -> None:
        transcriber = self._transcripts.model if self._transcripts is not None else None
        session = session_of(self._ask, transcriber)
        self._mirror.told = self._ask
        link.send(Order({"type": "session.update", "event_id": "configure", "session": session}))

    def _lost(self, fault: EngineFault) -> None:
        logger.warning("an upstream session ended: %s", fault)
        self._link = None
        self._fault = fault
        self._begun.set()
        for run in (*self._waiting, *self._runs.values()):
            run.fail(fault)
        self._waiting.clear()
        self._runs.clear()
        if self._transcripts is not None:
            self._transcripts.fail(self, fault)

    async def _take(self, event: UpstreamEvent) -> None:
        if event.type == "error":
            self._refused(event.error or Fault())
        elif event.type.startswith(TRANSCRIBED):
            self._transcribed(event)
        elif event.type == "session.created":
            self._check_kind(event.session)
            self._begun.set()
        elif event.type == "session.updated":
            check_format(event.session)
        elif event.type.startswith("response."):
            await self._respond(event)

    def _check_kind(self, session: Any) -> None:
        try:
            check_kind(session, duplex=self.duplex)
        except EngineFault:
            self._mistaken()
            raise

    async def _respond(self, event: UpstreamEvent) -> None:
        response_id = event.response.id if event.response else event.response_id
        run = self._runs.get(response_id)
        if run is None and event.type == "response.created":
            metadata = (event.response.metadata if event.response else None) or {}
            named = (run for run in self._waiting if run.name == metadata.get("duologue_ask"))
            run = next(named, self._waiting[0] if self._waiting else None)
            if run is not None:
                self._waiting.remove(run)
                self._runs[response_id] = run
                if len(self._runs) > UNSETTLED:
                    self._runs.pop(next(iter(self._runs)))
                run.response_id = response_id
                if run.closed:
                    self._cancel(run)
        if run is None:
            return  # one that nobody here asked for
        await run.take(event)
        if run.reply.over:
            self._runs.pop(response_id, None)

    def _transcribed(self, event: UpstreamEvent) -> None:
        if self._transcripts is None:
            return
        if event.type.endswith("completed"):
            self._transcripts.settle(self, event.item_id, event.transcript or "")
        elif event.type.endswith("failed"):
            fault = event.error or Fault()
            said = self._told(fault.message or "It gave no reason.")
            message = f"The upstream could not transcribe: {said}"
            self._transcripts.settle(self, event.item_id, EngineFault(message))

    def _refused(self, error: Fault) -> None:
        """The upstream refuses an order, or says what is wrong with the session."""
        message = self._told(error.message or "It gave no reason.")
        fault = EngineFault(f"The upstream refuses: {message}", error.code or "engine_error")
        what, _, name = (error.event_id or "").partition(" ")
        match what:
            case "configure":
                logger.warning("the upstream refuses the settings of a session: %s", message)
                self._mirror.told = None  # so that a reply says, and is refused, them all
            case "cut":
                logger.info("the upstream does not truncate, the item is replaced: %s", message)
                self._replace(name)
            case "put":
                self._mirror.forget(name)
                self._refuse_item(fault)
            case "drop" | "cancel":
                logger.debug("the upstream had nothing to %s: %s", what, message)
            case "ask":
                named = [run for run in self._waiting if run.name == error.event_id]
                for run in named:
                    self._waiting.remove(run)
                    run.fail(fault)
            case _:
                if self._waiting:
                    self._waiting.popleft().fail(fault)
                elif self._link is not None:
                    self._link.said = fault
                    logger.warning("the upstream reports an error: %s", message)

    def _refuse_item(self, fault: EngineFault) -> None:
        """The reply that would answer the item fails, be it asked for already or not."""
        run = self._kept
        if run is None or run.settled.is_set() or run.closed:
            self._refusal = fault
            return
        self._cancel(run)
        run.fail(fault)
