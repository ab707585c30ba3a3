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
import openai
from openai import AsyncStream

from duologue.core.talk import Ask, Began, Call, Item
from duologue.engines.composed.parts import (
    KEPT_FOR_REPLY,
    MOST_REPLY_TOKENS,
    Finish,
    Thinking,
    Thought,
)
from duologue.engines.remote import chat_messages, forced_call
from duologue.engines.remote.chat_stream import ChatStream, ChatUsage, PromptDetails
from duologue.engines.sizes import AUDIO_TOKENS_PER_S
from duologue.engines.window import Window, too_long
from duologue.remote.server import RemoteServer

log = logging.getLogger(__name__)

JSON = {"Content-Type": "application/json"}
LIMITS = ("max_tokens", "max_completion_tokens")
"""What the limit of a reply is called. All servers know the first but those of the hosted
API's reasoning models, which know the other only."""


class _Completion(msgspec.Struct, frozen=True):
    """A request as it is sent, and about how many tokens its prompt has by modality.

    `forced` is the request to send where a call is required and `body` brought none.
    """

    ask: Ask
    body: bytes
    counted: dict[str, int]
    forced: bytes | None = None


class _Server:
    """The server, and what is known of it."""

    def __init__(self, server: RemoteServer) -> None:
        self.remote = server
        self.sees_to_calls = True
        """It has not yet answered with words where a call was required."""
        self.limit = LIMITS[0]


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
        self._server = _Server(server)

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

    def __init__(self, server: _Server, context_tokens: int, *, hears: bool, per_s: float) -> None:
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
        is_required = forced_call.is_required(ask)
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
        body = {
            "model": self._server.address.model,
            **chat_messages.request(ask, items, hears=self._hears),
            self._known.limit: min(ask.max_tokens or MOST_REPLY_TOKENS, left),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        forced = msgspec.json.encode(forced_call.forced(body, ask)) if is_required else None
        return _Completion(ask, msgspec.json.encode(body), dict(counted), forced)

    async def _think(
        self, completion: _Completion
    ) -> AsyncGenerator[Began | Thought | Finish, None]:
        yield Began(input=completion.counted)
        spent = 0
        if completion.forced is None or self._known.sees_to_calls:
            try:
                held = forced_call.Held(is_required=completion.forced is not None)
                stream = ChatStream()
                async with aclosing(self._answer(completion, held, stream)) as answer:
                    async for event in answer:
                        yield event
                return
            except forced_call.NoCall:
                self._known.sees_to_calls = False
                spent = _finish(stream, held.tokens).output_tokens
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
        async with aclosing(self._thoughts(completion.body, stream)) as thoughts:
            async for thought in thoughts:
                tokens += thought.tokens
                for ready in held.take(thought):
                    yield ready
        if stream.finish_reason != "length":  # else a call may have been still to come
            held.end()
        if stream.usage is not None:
            yield _began(stream.usage, completion.counted)
        yield _finish(stream, tokens)

    async def _call(
        self, completion: _Completion, body: bytes, spent: int
    ) -> AsyncGenerator[Began | Thought | Finish, None]:
        """The call that an answer of nothing else is; `spent` are tokens said before in vain."""
        stream, tokens, text = ChatStream(), 0, ""
        async with aclosing(self._thoughts(body, stream)) as thoughts:
            async for thought in thoughts:
                tokens += thought.tokens
                text += thought.text
        if stream.finish_reason != "length":  # a call that was cut off is none
            try:
                name, arguments = forced_call.parse(text, completion.ask)
            except ValueError:
                what = "answered with words where a function call was required"
                raise self._server.fault(what) from None
            yield Thought(call=Call(0, name, arguments), tokens=tokens)
            yield Thought(call=Call(0, final=True), tokens=0)
        if stream.usage is not None:
            yield _began(stream.usage, completion.counted)
        finish = _finish(stream, tokens)
        yield Finish(finish.reason, spent + finish.output_tokens)

    async def _thoughts(self, body: bytes, stream: ChatStream) -> AsyncGenerator[Thought, None]:
        """One request, read through `stream` to its end."""
        with self._server.faults():
            async with await self._open(body) as chunks:
                self._server.check_type(chunks.response, "text/event-stream")
                while (data := await self._next(chunks)) is not None:
                    for thought in stream.take(data):
                        yield thought
            if stream.finish_reason is None:
                raise self._server.fault("broke off in the middle of a reply")
            if stream.finish_reason == "content_filter":
                raise self._server.fault("withheld the rest of a reply (content_filter)")
            # A call that was cut off by the limit is no call.
            if stream.finish_reason != "length":
                for thought in stream.flush():
                    yield thought

    async def _next(self, chunks: AsyncStream[object]) -> object | None:
        """The next chunk. A server that sends nothing but signs of life is given up, too."""
        async with asyncio.timeout(self._server.answer_s):
            return await anext(chunks, None)

    async def _open(self, body: bytes) -> AsyncStream[object]:
        """The answer's stream.

        Tried twice where a connection that was kept had gone stale, or where the name of the
        limit is refused, which is then another from now on.
        """
        try:
            return await self._post(body)
        except (openai.BadRequestError, openai.UnprocessableEntityError) as refusal:
            if LIMITS[0] not in refusal.message:
                raise
            renamed = await asyncio.to_thread(_renamed, body)
            if renamed is None:
                raise
            stream = await self._post(renamed)
            self._known.limit = LIMITS[1]
            return stream
        except openai.APITimeoutError:
            raise
        except openai.APIConnectionError:
            return await self._post(body)

    async def _post(self, body: bytes) -> AsyncStream[object]:
        # The body was encoded in a worker thread; chunks come as plain data (`cast_to`).
        return await self._server.client.post(
            "/chat/completions",
            cast_to=object,
            content=body,
            options={"headers": JSON},
            stream=True,
            stream_cls=AsyncStream[object],
        )


def _renamed(body: bytes) -> bytes | None:
    """The request with the other name of its limit; None where it has that name. Takes time."""
    request = msgspec.json.decode(body)
    if LIMITS[0] not in request:
        return None
    limit = request.pop(LIMITS[0])
    return msgspec.json.encode({**request, LIMITS[1]: limit})


def _finish(stream: ChatStream, tokens: int) -> Finish:
    if stream.usage is not None:
        tokens = max(tokens, stream.usage.completion_tokens)
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
