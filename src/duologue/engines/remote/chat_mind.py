"""A mind on another server: any that speaks the chat-completions protocol.

    ask + items ──chat_messages──► POST /chat/completions ──chat_stream──► thoughts

The upstream keeps nothing: every request carries the history, cut to what was heard, and its
own prefix cache makes that cheap. Closing the stream closes the connection, which is how such
a server is told to stop. Tokens before the upstream says them are estimates.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial

import msgspec
import openai
from openai import AsyncStream

from duologue.core.talk import Ask, Began, Item
from duologue.engines.light.parts import (
    KEPT_FOR_REPLY,
    MOST_REPLY_TOKENS,
    Finish,
    Thinking,
    Thought,
)
from duologue.engines.remote import chat_messages
from duologue.engines.remote.chat_stream import ChatStream, ChatUsage
from duologue.engines.window import Window, too_long
from duologue.remote.server import RemoteServer

JSON = {"Content-Type": "application/json"}


class _Completion(msgspec.Struct, frozen=True):
    """A request as it is sent, and about how many tokens its prompt has."""

    body: bytes
    prompt_tokens: int


class ChatMind:
    """Satisfies `Mind`; the server is its own. `context_tokens` is what it is trusted to hold."""

    def __init__(self, server: RemoteServer, *, context_tokens: int) -> None:
        self.context_tokens = context_tokens
        self._server = server

    async def warm(self) -> None:
        """Nothing: a server that is not there yet may be there when it is needed."""

    def open(self) -> "ChatTalk":
        """A conversation; the upstream has no places to be leased."""
        return ChatTalk(self._server, self.context_tokens)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._server.aclose()


class ChatTalk:
    """Satisfies `MindTalk`: the cut through one history."""

    def __init__(self, server: RemoteServer, context_tokens: int) -> None:
        self._server = server
        self._context_tokens = context_tokens
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

    def forget(self, item_id: str) -> None:
        """See `MindTalk.forget`."""
        with self._lock:
            self._window.forget(item_id)

    async def aclose(self) -> None:
        """Nothing is kept upstream."""

    def _request(self, window: Window, ask: Ask, items: Sequence[Item]) -> _Completion:
        """In a worker thread: a long history is a long text."""
        head = chat_messages.head_size(ask)
        room = self._context_tokens - min(ask.max_tokens or KEPT_FOR_REPLY, KEPT_FOR_REPLY) - head
        if room < 0:
            raise too_long(
                f"instructions and tools take about {head} of the {self._context_tokens} tokens "
                "that a conversation may have: there is no room for one"
            )
        with self._lock:
            items = window.fit(items, room, ask.truncation, chat_messages.size)
        prompt = head + sum(map(chat_messages.size, items))
        left = max(1, self._context_tokens - prompt)
        body = {
            "model": self._server.address.model,
            **chat_messages.request(ask, items),
            "max_tokens": min(ask.max_tokens or MOST_REPLY_TOKENS, left),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return _Completion(msgspec.json.encode(body), prompt)

    async def _think(
        self, completion: _Completion
    ) -> AsyncGenerator[Began | Thought | Finish, None]:
        yield Began(input={"text": completion.prompt_tokens})
        stream, tokens = ChatStream(), 0
        with self._server.faults():
            async with await self._open(completion) as chunks:
                self._server.check_type(chunks.response, "text/event-stream")
                async for data in chunks:
                    for thought in stream.take(data):
                        tokens += thought.tokens
                        yield thought
            if stream.finish_reason is None:
                raise self._server.fault("broke off in the middle of a reply")
            if stream.finish_reason == "content_filter":
                raise self._server.fault("withheld the rest of a reply (content_filter)")
            # A call that was cut off by the limit is no call.
            if stream.finish_reason != "length":
                for thought in stream.flush():
                    yield thought
        if stream.usage is not None:
            yield _began(stream.usage)
            tokens = max(tokens, stream.usage.completion_tokens)
        yield Finish("length" if stream.finish_reason == "length" else "stop", tokens)

    async def _open(self, completion: _Completion) -> AsyncStream[object]:
        """The answer's stream; tried twice where a connection that was kept had gone stale."""
        try:
            return await self._post(completion)
        except openai.APITimeoutError:
            raise
        except openai.APIConnectionError:
            return await self._post(completion)

    async def _post(self, completion: _Completion) -> AsyncStream[object]:
        # The body was encoded in a worker thread; chunks come as plain data (`cast_to`).
        return await self._server.client.post(
            "/chat/completions",
            cast_to=object,
            content=completion.body,
            options={"headers": JSON},
            stream=True,
            stream_cls=AsyncStream[object],
        )


def _began(usage: ChatUsage) -> Began:
    details = usage.prompt_tokens_details
    cached = min(details.cached_tokens or 0, usage.prompt_tokens) if details else 0
    return Began(input={"text": usage.prompt_tokens}, cached={"text": cached})
