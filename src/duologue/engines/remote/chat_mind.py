"""A mind on another server: any that speaks the chat-completions protocol.

    ask + items ──chat_messages──► POST /chat/completions ──chat_stream──► thoughts

The upstream keeps nothing: every request carries the history, cut to what was heard, and its
own prefix cache makes that cheap. Closing the stream closes the connection, which is how such
a server is told to stop. Tokens before the upstream says them are estimates. A model that hears
gets the user's sound in place of its words. Where a call is required, words are held back until
it has begun; if none comes, it is asked for in the way that every server keeps to
(`forced_call`), from then on at once.
"""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence, Set
from contextlib import aclosing
from functools import partial

import msgspec

from duologue.core.talk import Ask, Began, Call, Item
from duologue.engines import calls
from duologue.engines.composed.parts import (
    KEPT_FOR_REPLY,
    MOST_REPLY_TOKENS,
    Finish,
    Thinking,
    Thought,
)
from duologue.engines.remote import chat_messages, forced_call
from duologue.engines.remote.chat_server import ChatServer
from duologue.engines.remote.chat_stream import ChatStream, ChatUsage, PromptDetails
from duologue.engines.sizes import AUDIO_TOKENS_PER_S
from duologue.engines.window import Window, too_long
from duologue.remote.server import RemoteServer

log = logging.getLogger(__name__)


class _Completion(msgspec.Struct, frozen=True):
    """A request as it is sent, and about how many tokens its prompt has by modality.

    The reply is limited to `max_tokens`. `forced` is the request to send where a call is
    required and `body` brought none.
    """

    ask: Ask
    body: bytes
    counted: dict[str, int]
    max_tokens: int
    forced: bytes | None = None


class ChatMind:
    """Satisfies `Mind`; the server is its own. `context_tokens` is what it is trusted to hold.

    One that `hears` is sent the user's sound: its model must take `input_audio`, and makes
    `audio_tokens_per_s` of a second of it.
    """

    def __init__(
        self,
        server: RemoteServer,
        *,
        context_tokens: int,
        hears: bool = False,
        audio_tokens_per_s: float = AUDIO_TOKENS_PER_S,
    ) -> None:
        self.context_tokens = context_tokens
        self.hears = hears
        self._per_s = audio_tokens_per_s
        self._server = ChatServer(server)

    async def warm(self) -> None:
        """Nothing: a server that is not there yet may be there when it is needed."""

    def open(self) -> "ChatTalk":
        """A conversation; the upstream has no places to be leased."""
        return ChatTalk(self._server, self.context_tokens, hears=self.hears, per_s=self._per_s)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._server.remote.aclose()


class ChatTalk:
    """Satisfies `MindTalk`: the cut through one history."""

    def __init__(
        self, server: ChatServer, context_tokens: int, *, hears: bool, per_s: float
    ) -> None:
        self._known = server
        self._server = server.remote
        self._context_tokens = context_tokens
        self._hears = hears
        self._per_s = per_s
        self._window = Window()
        self._lock = threading.Lock()

    async def prepare(self, ask: Ask, items: Sequence[Item]) -> Thinking:
        """See `MindTalk.prepare`."""
        if ask.context is not None:
            window = Window()
        else:
            window = self._window if ask.keep else self._window.copy()
        return partial(self._think, await asyncio.to_thread(self._request, window, ask, items))

    def read_ahead(
        self, ask: Ask, items: Callable[[], Awaitable[Sequence[Item]]], *, instead: bool = False
    ) -> None:
        """Not over there: it would cost the owner a request for every turn."""

    @property
    def left_out(self) -> Set[str]:
        """See `MindTalk.left_out`."""
        return self._window.dropped

    def forget(self, item_id: str) -> None:
        """See `MindTalk.forget`."""
        with self._lock:
            self._window.forget(item_id)

    async def aclose(self) -> None:
        """Nothing is kept upstream."""

    def _request(self, window: Window, ask: Ask, items: Sequence[Item]) -> _Completion:
        """In a worker thread: a long history is a long text, and sound is longer."""
        head = chat_messages.head_size(ask)
        is_required = calls.is_required(ask)
        if is_required:
            head += chat_messages.tokens(forced_call.order(ask))
        room = self._context_tokens - min(ask.max_tokens or KEPT_FOR_REPLY, KEPT_FOR_REPLY) - head
        if room < 0:
            raise too_long(
                f"instructions and tools take about {head} of the {self._context_tokens} tokens "
                "that a conversation may have: there is no room for one"
            )
        with self._lock:
            size = partial(chat_messages.size, hears=self._hears, per_s=self._per_s)
            items = window.fit(items, room, ask.truncation, size)
        counted = Counter(text=head)
        for item in items:
            counted.update(chat_messages.sizes(item, hears=self._hears, per_s=self._per_s))
        left = max(1, self._context_tokens - counted.total())
        limit = min(ask.max_tokens or MOST_REPLY_TOKENS, left)
        body = {
            "model": self._server.address.model,
            **chat_messages.request(ask, items, hears=self._hears),
            self._known.limit: limit,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        forced = msgspec.json.encode(forced_call.forced(body, ask)) if is_required else None
        return _Completion(ask, msgspec.json.encode(body), dict(counted), limit, forced)

    async def _think(
        self, completion: _Completion
    ) -> AsyncGenerator[Began | Thought | Finish, None]:
        yield Began(input=completion.counted)
        spent = 0
        if completion.forced is None or self._known.sees_to_calls:
            try:
                held = forced_call.Held(is_required=completion.forced is not None)
                stream = ChatStream(completion.ask)
                async with aclosing(self._answer(completion, held, stream)) as answer:
                    async for event in answer:
                        yield event
                return
            except forced_call.NoCall:
                self._known.sees_to_calls = False
                spent = self._finish(stream, held.tokens, completion).output_tokens
                log.warning(
                    "%s (%s) answers with words where a function call is required: calls are "
                    "asked for as JSON from now on",
                    self._server.what,
                    self._server.address.base_url,
                )
        assert completion.forced is not None, "only a call that is required is held back for"
        async with aclosing(self._call(completion, completion.forced, spent)) as answer:
            async for event in answer:
                yield event

    async def _answer(
        self, completion: _Completion, held: forced_call.Held, stream: ChatStream
    ) -> AsyncGenerator[Began | Thought | Finish, None]:
        """What the model says and calls. Raises `NoCall` where it should have called."""
        tokens = 0
        async with aclosing(self._known.thoughts(completion.body, stream)) as thoughts:
            async for thought in thoughts:
                if (
                    tokens >= completion.max_tokens
                ):  # a server that sends less than a token at a time
                    thought = msgspec.structs.replace(thought, tokens=0)
                tokens += thought.tokens
                for ready in held.take(thought):
                    yield ready
        if stream.finish_reason != "length":  # else a call may have been still to come
            held.end()
        if usage := self._usage(stream, completion):
            yield _began(usage, completion.counted)
        yield self._finish(stream, tokens, completion)

    async def _call(
        self, completion: _Completion, body: bytes, spent: int
    ) -> AsyncGenerator[Began | Thought | Finish, None]:
        """The call that an answer of nothing else is; `spent` are tokens said before in vain."""
        stream, tokens, text = ChatStream(completion.ask), 0, ""
        async with aclosing(self._known.thoughts(body, stream)) as thoughts:
            async for thought in thoughts:
                tokens += thought.tokens
                text += thought.text
        if stream.finish_reason != "length":  # a call that was cut off is none
            try:
                name, arguments = forced_call.parse(text, completion.ask)
            except ValueError:
                raise self._server.fault(calls.UNCALLED) from None
            yield Thought(call=Call(0, name, arguments), tokens=tokens)
            yield Thought(call=Call(0, final=True), tokens=0)
        if usage := self._usage(stream, completion):
            yield _began(usage, completion.counted)
        finish = self._finish(stream, tokens, completion)
        yield Finish(finish.reason, spent + finish.output_tokens)

    def _usage(self, stream: ChatStream, completion: _Completion) -> ChatUsage | None:
        """What the server counted, if it can be."""
        usage = stream.usage
        if usage is None or not self._known.counted.is_believed(
            usage.prompt_tokens,
            usage.completion_tokens,
            context_tokens=self._context_tokens,
            max_tokens=completion.max_tokens,
        ):
            return None
        return usage

    def _finish(self, stream: ChatStream, tokens: int, completion: _Completion) -> Finish:
        tokens = min(tokens, completion.max_tokens)
        if usage := self._usage(stream, completion):
            tokens = max(tokens, usage.completion_tokens)
        return Finish("length" if stream.finish_reason == "length" else "stop", tokens)


def _began(usage: ChatUsage, counted: Mapping[str, int]) -> Began:
    """The upstream's count, split by modality as it says, or as we counted."""
    details = usage.prompt_tokens_details or PromptDetails()
    cached = max(0, min(details.cached_tokens or 0, usage.prompt_tokens))
    if "audio" not in counted:
        return Began(input={"text": usage.prompt_tokens}, cached={"text": cached})
    told = counted["audio"] if details.audio_tokens is None else details.audio_tokens
    sound = max(0, min(told, usage.prompt_tokens))
    words = usage.prompt_tokens - sound
    return Began(
        input={"text": words, "audio": sound},
        cached={"text": min(words, cached), "audio": max(0, cached - words)},
    )
