"""One conversation with a full-duplex upstream: all sound goes there, and it takes the turns.

    hear ─► input_audio_buffer.append ─► upstream
    live ◄─ Floor, Heard by transcripts, Say … ◄─ speech_started, response.* ◄─┘

Another duologue with such an engine, or vLLM-Omni at `/v1/realtime?duplex=1` (`omni`). Turns and
replies that the upstream made are only named when the core puts them. What was played is told to
an upstream that asks (`playback.ack`). Where it cannot truncate, its memory stays as it is.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from msgspec import structs

from duologue.audio import pcm as audio
from duologue.core.talk import Ask, Failed, Floor, Item, LiveEvent, Refused, ReplyEvent
from duologue.engines.realtime.asks import FORMAT, response_of
from duologue.engines.realtime.capabilities import UNKNOWN, Capabilities, capabilities
from duologue.engines.realtime.link import Order
from duologue.engines.realtime.reply import failure
from duologue.engines.realtime.runs import asked_in
from duologue.engines.realtime.speech import Speech
from duologue.engines.realtime.talk import RealtimeTalk
from duologue.engines.realtime.turns import Turns
from duologue.engines.realtime.upstream import Upstream
from duologue.engines.realtime.wire import Fault, UpstreamEvent
from duologue.engines.sizes import input_tokens
from duologue.errors import EngineFault

logger = logging.getLogger(__name__)

WAITING_EVENTS = 256
BEHIND_MS = 120_000
"""Sound that may wait for the upstream before more is let fall."""

MOST_PIECES = 3000
"""The same for pieces of 20 ms and less, beside other orders (`link.ORDERS`)."""

ACK_EVERY_MS = 100

NOT_TAKEN = "(This call was not taken: it was not asked for, or came too late.)"
"""The result of a call that the core has not been told of: the model would wait for one."""


class RealtimeLiveTalk(RealtimeTalk):
    """Satisfies `LiveTalk`. `states` is told what an upstream that is `omni` shows of its model."""

    duplex = True

    def __init__(
        self,
        ask: Ask,
        *args: Any,
        omni: bool,
        states: Callable[[Upstream, Capabilities], None],
        **options: Any,
    ) -> None:
        self._omni = self._tells_rate = omni
        self._states = states
        self._events: asyncio.Queue[LiveEvent | EngineFault | None] | None = None
        self._heard = 0
        self._sent = 0
        """Samples that this upstream session was sent."""
        self._is_behind = False
        self._owed: Ask | None = None
        """A nudge that came while there was no upstream session."""
        self._nudged: Ask | None = None
        """The last hint that this upstream session was sent: it has tools of its own."""
        self._before: Ask | None = None
        """The settings before those of now, which a response under way may yet be of."""
        self._refusal_told: Refused | None = None
        """What the client knows of the settings: upstream sessions that follow say the same."""
        self._refusal_owed: Refused | None = None
        """The same, when nobody listened."""
        self._acked_ms = 0
        super().__init__(ask, *args, **options)
        self._conversation.truncates = not omni

    # What a live talk is told

    def hear(self, pcm: bytes) -> None:
        """See `LiveTalk.hear`. Without an upstream session it is lost, and counts."""
        self._heard += audio.samples(pcm)
        link = self._sessions.link
        if link is None:
            return
        waiting_ms = (link.waiting_bytes + len(pcm)) // audio.BYTES_PER_MS
        most_ms = BEHIND_MS // 2 if self._is_behind else BEHIND_MS  # one gap, not many
        is_behind = waiting_ms > most_ms and link.waiting_bytes > 0
        is_behind = is_behind or link.waiting >= MOST_PIECES
        if is_behind and not self._is_behind:
            logger.warning("the upstream does not keep up: sound is let fall")
        self._is_behind = is_behind
        if is_behind:
            return
        self._sent += audio.samples(pcm)
        event: dict[str, Any] = {"type": "input_audio_buffer.append", "audio": pcm}
        if self._omni:
            event["sample_rate_hz"] = FORMAT["rate"]
        is_long = len(pcm) > audio.RATE_HZ
        link.send(Order(event, is_long=is_long, size_bytes=len(pcm)))

    def configure(self, ask: Ask) -> None:
        """See `Talk.configure`."""
        if ask.tools != self._ask.tools or ask.tool_choice != self._ask.tool_choice:
            self._before = self._ask
        self._refusal_told = None
        super().configure(ask)

    def played(self, item_id: str, samples: int) -> None:
        """See `LiveTalk.played`."""
        if not self._omni or not self._speech.last:
            return
        made, response_id = self._speech.last
        if (known := self._conversation.mirror.sounding(item_id)) and known is not made:
            return  # of a reply before: what it played is told by its truncation, if at all
        played_ms = audio.ms_of_samples(samples)
        if played_ms < self._acked_ms + ACK_EVERY_MS and samples < made.samples:
            return
        self._acked_ms = played_ms
        self._send(
            "ack",
            item_id,
            "playback.ack",
            response_id=response_id,
            item_id=made.ids[0],
            played_ms=played_ms,
            committed_ms=played_ms,
        )

    def nudge(self, ask: Ask) -> None:
        """See `LiveTalk.nudge`. Without an upstream session it waits for the next one."""
        if self._sessions.link is None:
            self._owed = ask
            return
        if self._omni:
            self._send("nudge", "", "response.create")
            return
        self._nudged = ask
        response = response_of(self._with_voice(ask), self._settings.told)
        self._send("nudge", "", "response.create", response=response)

    def hush(self) -> None:
        """See `LiveTalk.hush`. A hint that was not answered yet is withdrawn."""
        self._owed = None
        if self._speech.is_under_way:
            self._speech.hush()
        else:
            self._send("cancel", "", "response.cancel")

    async def live(self, ask: Ask) -> AsyncIterator[LiveEvent]:
        """See `LiveTalk.live`. An upstream session that has ended is begun anew."""
        if self._sessions.closed:
            return
        self._ask = self._with_voice(ask)
        events = self._events = asyncio.Queue(WAITING_EVENTS)
        try:
            if self._sessions.link is None:
                self._reach()
            refusal, self._refusal_owed = self._refusal_owed, None
            if refusal is not None:
                events.put_nowait(refusal)
            if self._speech.is_under_way:  # it began when nobody listened
                events.put_nowait(Floor("reply_starts", self._at_ms(None)))
            owed, self._owed = self._owed, None
            if owed is not None:
                self.nudge(owed)
            while (event := await self._next(events)) is not None:
                yield event
        finally:
            self._events = None
            while not events.empty():  # lets the link go that waits for a place
                events.get_nowait()

    async def reply(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
        """Out of band only, and only where the upstream says which reply is which."""
        if self._omni or ask.keep:
            raise EngineFault("The upstream answers what it hears, and nothing beside it.")
        async for event in super().reply(ask):
            yield event

    async def aclose(self) -> None:
        """See `Talk.aclose`."""
        self._end(None)
        await super().aclose()

    async def _next(
        self, events: asyncio.Queue[LiveEvent | EngineFault | None]
    ) -> LiveEvent | None:
        try:
            async with asyncio.timeout(self._silence_s if self._speech.is_under_way else None):
                event = await events.get()
        except TimeoutError:
            fault = EngineFault(f"The upstream has said nothing for {self._silence_s:g} seconds.")
            self._leave(fault)
            raise fault from None
        if isinstance(event, EngineFault):
            raise event
        return event

    async def _tell(self, event: LiveEvent | EngineFault) -> None:
        if self._events is not None:
            await self._events.put(event)

    def _end(self, why: EngineFault | None) -> None:
        if self._events is not None:
            if self._events.full():
                self._events.get_nowait()
            self._events.put_nowait(why)

    # What the upstream does

    async def _take(self, event: UpstreamEvent) -> None:
        match event.type:
            case "input_audio_buffer.speech_started":
                start_ms = self._at_ms(event.audio_start_ms)
                self._turns.begin(event.item_id, start_ms)
                await self._tell(Floor("user_starts", start_ms))
            case "input_audio_buffer.speech_stopped":
                end_ms = self._at_ms(event.audio_end_ms)
                self._turns.end(event.item_id, end_ms)
                await self._tell(Floor("user_stops", end_ms))
            case "error":
                error = self._sessions.updates.understood(event.fault)
                await self._object(error, event.response_id)
            case "session.created" | "session.updated" if self._omni:
                self._negotiate(event)
                await super()._take(event)
            case _:
                await super()._take(event)

    def _negotiate(self, event: UpstreamEvent) -> None:
        """Learn what the model can, and at its beginning ask for it."""
        stated = capabilities(event.session)
        is_new = event.type == "session.created"
        if stated is None and is_new:
            logger.warning("the upstream shows no capabilities: it may take no turns by itself")
            stated = UNKNOWN
        link = self._sessions.link
        if stated is not None and link is not None:
            self._conversation.truncates = stated.may_truncate
            self._states(link.upstream, stated)
        if stated is not None and is_new:
            self._send("negotiate", "", "session.update", session=stated.wanted)

    async def _object(self, error: Fault, response_id: str) -> None:
        """An error of the upstream: about the reply, a hint of ours, or anything else."""
        is_hint = (error.event_id or "").startswith("nudge")
        if self._speech.is_of(response_id):
            await self._tell(self._speech.fail(failure(error)))
        elif is_hint and error.type not in (None, "invalid_request_error"):
            message = f"The upstream refuses: {error.message or 'It gave no reason.'}"
            await self._tell(Failed(error.code or "engine_error", self._told(message)))
        else:
            self._refused(error)
            what, _, name = (error.event_id or "").partition(" ")
            if what == "configure":
                await self._tell_less(name, error)

    async def _tell_less(self, name: str, error: Fault) -> None:
        """No reply will say the settings again: the upstream is told less, the client what fell."""
        order, missed = self._settings.less(self._ask, name, error)
        done = ""
        if order is not None:
            self._sessions.send(order)
            if not missed:
                return
            done = f" and is told them again without {', '.join(missed)}"
        why = self._told(error.message or "It gave no reason.")
        message = f"The upstream refuses the settings{done}: {why}"
        refusal = Refused(error.code or "engine_error", message)
        if refusal == self._refusal_told:
            return
        self._refusal_told = refusal
        if self._events is None:
            self._refusal_owed = refusal
        else:
            await self._tell(refusal)

    def _at_ms(self, upstream_ms: int | None) -> int:
        """A place in this upstream session's sound, as one in all the sound there was."""
        lost_ms = audio.ms_of_samples(self._heard - self._sent)
        sent_ms = audio.ms_of_samples(self._sent)
        return lost_ms + (sent_ms if upstream_ms is None else upstream_ms)

    async def _respond(self, event: UpstreamEvent) -> None:
        response = event.response
        response_id = (response.id if response else "") or event.response_id
        if event.type == "response.created":
            if not self._runs.awaits(asked_in(event)):
                reads = input_tokens(self._ask, self._conversation.items)
                self._speech.begin(response_id, reads, self._offered())
                self._acked_ms = 0
                await self._tell(Floor("reply_starts", self._at_ms(None)))
        if self._speech.is_of(response_id):
            for said in self._speech.take(event, self._at_ms(None)):
                await self._tell(said)
        else:
            await super()._respond(event)
        if (call := event.call) and self._runs.of(event) is None:
            self._speech.note_call(response_id, call, is_heard=self._events is not None)

    def _offered(self) -> Ask:
        """An ask of all that it may call. Which ask a response is of, and whether of any, it does
        not say: so any of them will do, and no call can be required.
        """
        asks = (self._ask, self._before, self._nudged)
        allowing = [ask for ask in asks if ask is not None and ask.tool_choice != "none"]
        tools = tuple(tool for ask in allowing for tool in ask.tools)
        return Ask(tools=tools, parallel_calls=any(ask.parallel_calls for ask in allowing))

    def _transcribed(self, event: UpstreamEvent) -> None:
        if not self._turns.keeps(event):
            name = self._turns.name(event.item_id)
            super()._transcribed(structs.replace(event, item_id=name))

    def _refused(self, error: Fault) -> None:
        if (error.event_id or "").startswith(("nudge", "ack", "negotiate", "decline")):
            logger.info("the upstream refuses: %s", self._told(error.message or "no reason given"))
            return
        super()._refused(error)

    def _refuse_item(self, item_id: str, fault: EngineFault) -> None:
        logger.warning("the upstream's model was not given an item of the history: %s", fault)

    # Names and memory

    def _claim(self, item: Item) -> bool:
        if item.role == "user":
            if item.was_heard:
                self._claim_turn(item)
            return item.was_heard
        found = self._speech.claim(item) if item.role in ("assistant", "call") else None
        if found is None:
            return False
        made, response_id = found
        if self._speech.is_of(response_id) and not made.is_all_of(item):
            self._speech.cut_short()
        self._conversation.learn(item, made)
        return True

    def _claim_turn(self, item: Item) -> None:
        upstream_id = self._turns.claim(item)
        if upstream_id is None:
            # The upstream has written this down with another item, or not at all.
            self._hearing.wrote_nothing(item.id)
            return
        self._conversation.mirror.hears(item.id, upstream_id)
        if written := self._turns.written_of(upstream_id):
            self._transcribed(written)

    # The upstream session

    def _reach(self) -> None:
        self._sent = 0
        self._nudged = self._before = None
        self._speech = Speech(
            self._pace,
            ends=not self._omni,
            cancel=self._cancel_response,
            decline=self._decline,
            told=self._told,
            believes=lambda read, made: self._believes(self._ask, read, made),
        )
        self._turns = Turns()
        super()._reach()

    def _decline(self, call_id: str) -> None:
        item = {"type": "function_call_output", "call_id": call_id, "output": NOT_TAKEN}
        self._send("decline", call_id, "conversation.item.create", item=item)

    def _is_idle(self) -> bool:
        return super()._is_idle() and not self._speech.is_under_way

    def _cancel_response(self, response_id: str) -> None:
        self._send("cancel", response_id, "response.cancel", response_id=response_id)

    def _lost(self, fault: EngineFault) -> None:
        has_begun = self._sessions.link is not None and self._sessions.link.has_begun
        self._speech.stop()
        super()._lost(fault)
        if has_begun or self._sessions.link is None:  # else it goes on at another upstream
            self._end(fault)
