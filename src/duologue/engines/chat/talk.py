"""One conversation with an upstream that keeps none: notes and asks in, replies out.

    put/drop/cut ──► History ──snapshot──► Window ──► request ──► Upstream ──► Composer ──► events

Every request holds all that the model shall know, so any upstream can give the next reply, and
what was not heard or was deleted is simply not in it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial

import msgspec

from duologue.core.talk import Ask, Began, Item, Part, ReplyEvent
from duologue.engines.chat.composer import Composer
from duologue.engines.chat.faults import UpstreamFault, broke_off
from duologue.engines.chat.left_out import LeftOut
from duologue.engines.chat.request import LIMITS, Model, render
from duologue.engines.chat.upstream import Upstream
from duologue.engines.chat.upstreams import Upstreams
from duologue.engines.history import History
from duologue.engines.pace import Pace
from duologue.engines.sizes import MESSAGE_TOKENS, head_tokens, input_tokens, size
from duologue.engines.window import Window, newest, too_long
from duologue.errors import EngineFault
from duologue.runtime.ports import Traits


class ChatTalk:
    """See `runtime.ports.Talk`; made by `ChatEngine.open`."""

    def __init__(
        self, upstreams: Upstreams, model: Model, traits: Traits, paces: dict[str, Pace]
    ) -> None:
        self._upstreams = upstreams
        self._model = model
        self._traits = traits
        self._paces = paces
        self._history = History()
        self._window = Window()
        self._left_out = LeftOut()

    def configure(self, ask: Ask) -> None:
        """Nothing to read ahead: the upstream keeps no conversation."""

    async def admit(self, ask: Ask) -> None:
        """See `Talk.admit`."""
        self._fit(ask, (), Window())

    def expect(self, item: Item | None) -> None:
        """Nothing is begun on a guess: an upstream's time may cost money."""

    def put(self, item: Item, after: str | None = None) -> None:
        """Note an item. Of the assistant's own sound only the words are sent again."""
        if item.role == "assistant":
            item = Item(item.id, item.role, tuple(Part(part.text) for part in item.parts))
        self._history.put(item, after)

    def drop(self, item_id: str) -> None:
        """Note that an item was deleted; unknown ids are passed over."""
        self._history.drop(item_id)
        self._window.forget(item_id)
        self._left_out.forget(item_id)

    def cut(self, item_id: str, end_ms: int, text: str) -> None:
        """Note that of an item only `text` was heard; unknown ids are passed over."""
        self._history.cut(item_id, text)

    def reply(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
        """See `runtime.ports.Talk.reply`: the history is the one of this moment."""
        items = self._history.items if ask.context is None else ask.context
        if ask.context is not None:
            window = Window()
        else:
            window = self._window if ask.keep else self._window.copy()
        return self._reply(ask, items, window)

    async def aclose(self) -> None:
        """Nothing is held."""

    async def _reply(
        self, ask: Ask, items: Sequence[Item], window: Window
    ) -> AsyncGenerator[ReplyEvent, None]:
        asked = ask  # what the upstream makes is judged by
        if ask.tool_choice == "none":
            ask = msgspec.structs.replace(ask, tools=())
        items = self._left_out.sendable(items)
        kept = self._fit(ask, items, window)
        if window is self._window and len(kept) < len(items):
            self._forget_media({item.id for item in items} - {item.id for item in kept})
        counted = input_tokens(ask, kept, self._model.audio_tokens_per_s)
        yield Began(counted)
        bodies: dict[str, bytes] = {}
        renamed: dict[Upstream, str] = {}
        pace = self._paces.setdefault(ask.voice, Pace())
        tried: list[Upstream] = []
        refusing: list[Upstream] = []
        upstream = self._upstreams.pick()
        while upstream is not None:
            limit = renamed.get(upstream, upstream.limit)
            if limit not in bodies:
                bodies[limit] = await asyncio.to_thread(render, ask, kept, self._model, limit)
            has_begun = False
            try:
                composer = Composer(asked, counted, pace, self._traits.context_tokens)
                reply = _answered(upstream, bodies[limit], composer)
                async with aclosing(reply):
                    async for event in reply:
                        if not has_begun and not isinstance(event, Began):
                            has_begun = True
                            upstream.limit = limit
                            self._left_out.took(kept)
                            for other in refusing:
                                self._upstreams.refused(other)
                        yield event
                return
            except UpstreamFault as fault:
                if fault.refuses and limit in fault.told and upstream not in renamed:
                    renamed[upstream] = next(name for name in LIMITS if name != limit)
                    continue
                tried.append(upstream)
                if fault.down:
                    self._upstreams.failed(upstream)
                elif fault.misfit:
                    self._upstreams.refused(upstream)
                elif fault.of_content:
                    refusing.append(upstream)
                upstream = self._upstreams.pick(tried)
                is_last = has_begun or not fault.elsewhere or upstream is None
                if is_last or len(refusing) > 1:
                    if fault.of_content and ask.context is None:
                        raise self._blamed(kept, fault) from None
                    raise

    def _blamed(self, items: Sequence[Item], fault: UpstreamFault) -> EngineFault:
        """Make the next turn work; the fault of this one, which says so."""
        what = self._left_out.blame(items, fault.told)
        if what is None:
            return fault
        whole = self._history.items
        for item, sent in zip(whole, self._left_out.sendable(whole), strict=True):
            if sent is not item:  # what is left out is never sent again
                self._history.lighten(sent)
        message = (
            f"{fault.message} It may not take {what} that is new here, which is left out of the "
            "conversation from now on."
        )
        return EngineFault(message, fault.code)

    def _forget_media(self, item_ids: set[str]) -> None:
        """What was dropped from the window is never sent again: an hour of sound is 170 MB."""
        for item_id in item_ids:
            self._history.forget_media(item_id)

    def _fit(self, ask: Ask, items: Sequence[Item], window: Window) -> list[Item]:
        limit = self._traits.max_output_tokens
        if ask.max_tokens is not None:
            limit = min(limit, ask.max_tokens)
        head = head_tokens(ask)
        room = self._traits.context_tokens - head - limit
        if room < 0:
            raise too_long(
                f"instructions and tools take about {head} of the {self._traits.context_tokens} "
                f"tokens that a conversation may have, beside {limit} of the response: there is "
                "no room for one"
            )
        most = self._traits.context_tokens // MESSAGE_TOKENS
        measure = partial(size, per_s=self._model.audio_tokens_per_s)
        return window.fit(newest(items, most), room, ask.truncation, measure)


async def _answered(
    upstream: Upstream, body: bytes, composer: Composer
) -> AsyncGenerator[ReplyEvent, None]:
    """One try at a reply."""
    patience = upstream.patience()
    try:
        async with aclosing(upstream.stream(body, patience)) as stream:
            async for data in stream:
                events = await composer.take(data)
                if composer.got_on:
                    patience.renew()
                for event in events:
                    yield event
        if not composer.is_finished:
            raise broke_off()
        for event in await composer.end():
            yield event
        if composer.unbelieved is not None:
            upstream.doubt(composer.unbelieved.prompt, composer.unbelieved.completion)
    except UpstreamFault as fault:
        upstream.note(fault)
        raise
