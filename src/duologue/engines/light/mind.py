"""The mind: a GGUF language model on llama.cpp, in this process, shared by all talks.

    Lease.complete ──► a worker thread in llama.cpp ──chunks──► queue ──► reader
    Lease.prefill  ──► the same, a piece of the prompt at a time, while nobody completes

Each lease is one slot of llama.cpp with its own part of the KV cache, so a prompt that goes
on from the last one costs only its new tokens. One slot more serves completions outside any
lease. llama.cpp batches the slots that are at work; a prefill is work ahead of time and
looks before every piece whether somebody waits for an answer. A freed slot keeps its cache
until it is leased again, and a new talk with the same instructions is given that slot.
"""

import asyncio
import json
import logging
import os
import secrets
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any

import xllamacpp

from duologue.engines.composed.parts import Finish
from duologue.engines.light.text_model import Begun, Piece
from duologue.engines.light.tokens import Tokenizer
from duologue.errors import EngineBusy, EngineFault, ModelFault

logger = logging.getLogger(__name__)

PREFILL_CHARACTERS = 120
"""Prompt evaluated between two looks at who waits: about 30 tokens."""

BATCH_TOKENS = 128
"""Tokens that llama.cpp evaluates at once, and so the longest that stopping a prompt takes."""

GGUF_MAGIC = b"GGUF"


class _Job:
    """One run of llama.cpp in a worker thread: its chunks come to the event loop by a queue.

    The queue needs no bound of its own: a completion has at most `max_tokens` chunks.
    """

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.chunks: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ask the run to end; it does with its next token, or batch of prompt tokens."""
        self._stopped.set()

    def run(self, server: xllamacpp.Server) -> None:
        """Run to the end; in a worker thread."""
        try:
            if not self._stopped.is_set():
                server.handle_completions(self.body, self._take)
        finally:
            self._post(None)

    def _take(self, chunk: Any) -> bool:
        if isinstance(chunk, bytes | str):
            chunk = json.loads(chunk)
        for part in chunk if isinstance(chunk, list) else [chunk]:
            self._post(part)
        return self._stopped.is_set()

    def _post(self, chunk: dict[str, Any] | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self.chunks.put_nowait, chunk)
        except RuntimeError:
            self._stopped.set()  # the event loop is gone, and nobody reads


class LlamaMind:
    """Satisfies `TextModel`. Make it with `load`."""

    def __init__(
        self,
        server: xllamacpp.Server,
        tokenizer: Tokenizer,
        *,
        places: int,
        context_tokens: int,
        parameters: int,
    ) -> None:
        self.context_tokens = context_tokens
        self.parameters = parameters
        self.count_tokens = tokenizer.count
        self._server = server
        self._threads = ThreadPoolExecutor(places + 2, thread_name_prefix="mind")
        self._free = list(range(places))
        self._prompts = [""] * (places + 1)
        self._outside = asyncio.Lock()
        self._leased = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self._warming: asyncio.Task[None] | None = None
        self._completing = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @classmethod
    async def load(
        cls, model_path: Path, *, places: int, context_tokens: int, threads: int
    ) -> "LlamaMind":
        """Load the weights off the event loop. Raises `ModelFault`.

        A context longer than the model was trained for is shortened to that.
        """
        key = secrets.token_urlsafe(32)
        server = await asyncio.to_thread(_load, model_path, places, context_tokens, threads, key)
        tokenizer = Tokenizer(str(server.listening_address), key)
        longest, parameters = await asyncio.to_thread(tokenizer.size)
        if longest is not None and longest < context_tokens:
            logger.warning("the model's context is %d tokens, not %d", longest, context_tokens)
            context_tokens = longest
        return cls(
            server,
            tokenizer,
            places=places,
            context_tokens=context_tokens,
            parameters=parameters,
        )

    async def warm(self, prompt: str) -> None:
        """Have every slot read `prompt`, how all prompts begin: one now, the others in idle time.

        The others are read only while nobody is in conversation.
        """
        await self._warm(prompt)
        self._warming = asyncio.create_task(self._warm_others(prompt))  # noqa: TID251

    async def _warm_others(self, prompt: str) -> None:
        while self._cold(prompt) is not None:
            await self._unused.wait()
            await self._warm(prompt)

    async def _warm(self, prompt: str) -> None:
        if (slot := self._cold(prompt)) is not None:
            await self.prefill(slot, prompt, wanted=self._unused.is_set)

    def _cold(self, prompt: str) -> int | None:
        """A free slot that has not read `prompt`."""
        cold = (slot for slot in self._free if not self._prompts[slot].startswith(prompt))
        return next(cold, None)

    def lease(self, prompt: str = "") -> "LlamaLease":
        """A place; the one whose cache begins most like `prompt`. Raises `EngineBusy`."""
        if not self._free:
            raise EngineBusy("Every conversation that the model has room for is taken.")
        slot = max(self._free, key=lambda s: len(os.path.commonprefix([self._prompts[s], prompt])))
        self._free.remove(slot)
        self._leased += 1
        self._unused.clear()
        return LlamaLease(self, slot)

    async def complete(
        self, prompt: str, *, max_tokens: int, grammar: str | None = None, stop: Sequence[str] = ()
    ) -> AsyncIterator[Begun | Piece | Finish]:
        """See `TextModel.complete`; one at a time."""
        async with self._outside:
            slot = len(self._prompts) - 1
            async with aclosing(self.run(slot, prompt, max_tokens, grammar, stop)) as events:
                async for event in events:
                    yield event

    async def aclose(self) -> None:
        """Wait for what runs and free the weights."""
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.wait([self._warming])
        await asyncio.to_thread(self._threads.shutdown)
        del self._server

    def give_back(self, slot: int) -> None:
        """A lease is over; its slot keeps what it has in its cache."""
        self._free.append(slot)
        self._leased -= 1
        if not self._leased:
            self._unused.set()

    async def run(
        self, slot: int, prompt: str, max_tokens: int, grammar: str | None, stop: Sequence[str]
    ) -> AsyncGenerator[Begun | Piece | Finish, None]:
        """A completion in a slot. Closing it returns when the slot is free."""
        self._completing += 1
        self._idle.clear()
        self._prompts[slot] = prompt
        job = _Job(_body(slot, prompt, max_tokens, grammar, stop))
        running = asyncio.get_running_loop().run_in_executor(self._threads, job.run, self._server)
        begun = False
        try:
            while (chunk := await job.chunks.get()) is not None:
                if "error" in chunk or "choices" not in chunk:
                    raise EngineFault(f"the language model refused: {_message(chunk)}")
                if (progress := chunk.get("prompt_progress")) and not begun:
                    begun = True
                    yield Begun(int(progress["total"]), int(progress["cache"]))
                choice = chunk["choices"][0]
                if text := choice.get("text"):
                    yield Piece(text)
                if choice.get("finish_reason"):
                    yield _finish(chunk, choice)
                    return
            await running
            raise EngineFault("the language model stopped without saying why")
        finally:
            job.stop()
            await asyncio.shield(asyncio.wait([running]))
            self._completing -= 1
            if not self._completing:
                self._idle.set()

    async def prefill(
        self, slot: int, prompt: str, *, wanted: Callable[[], bool] = lambda: True
    ) -> None:
        """Evaluate a prompt piece by piece, each when nobody completes, while it is `wanted`.

        Cancelled, it returns when the piece under way is over: the slot is then free.
        """
        for end in _cuts(self._prompts[slot], prompt):
            await self._idle.wait()
            if not wanted():
                return
            job = _Job(_body(slot, prompt[:end], 0, None, ()))
            running = asyncio.get_running_loop().run_in_executor(
                self._threads, job.run, self._server
            )
            try:
                await asyncio.shield(asyncio.wait([running]))
            finally:
                await asyncio.wait([running])
                self._prompts[slot] = prompt[:end]


class LlamaLease:
    """Satisfies `Lease`: one slot."""

    def __init__(self, mind: LlamaMind, slot: int) -> None:
        self._mind = mind
        self._slot = slot
        self._released = False

    async def prefill(self, prompt: str) -> None:
        await self._mind.prefill(self._slot, prompt)

    def complete(
        self, prompt: str, *, max_tokens: int, grammar: str | None = None, stop: Sequence[str] = ()
    ) -> AsyncIterator[Begun | Piece | Finish]:
        return self._mind.run(self._slot, prompt, max_tokens, grammar, stop)

    def release(self) -> None:
        if not self._released:
            self._released = True
            self._mind.give_back(self._slot)


def _load(
    model_path: Path, places: int, context_tokens: int, threads: int, key: str
) -> xllamacpp.Server:
    try:
        with model_path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except OSError as fault:
        raise ModelFault(
            f"the language model {model_path} cannot be read: {fault.strerror}"
        ) from None
    if magic != GGUF_MAGIC:
        raise ModelFault(f"the language model {model_path} is no GGUF file")
    params = xllamacpp.CommonParams()
    params.model.path = str(model_path)
    params.n_parallel = places + 1
    params.n_ctx = context_tokens * (places + 1)
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.kv_unified = False
    params.ctx_shift = False
    params.cache_ram_mib = 0
    params.slot_prompt_similarity = 0.0
    params.verbosity = 0
    params.warmup = True
    # llama.cpp's server listens on a loopback port even in process: nobody gets in there.
    params.api_keys = [key]
    params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    params.ui = False
    try:
        return xllamacpp.Server(params)
    except Exception as fault:
        raise ModelFault(f"the language model {model_path} cannot be used: {fault}") from fault


def _body(
    slot: int, prompt: str, max_tokens: int, grammar: str | None, stop: Sequence[str]
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "prompt": prompt,
        "n_predict": max_tokens,
        "id_slot": slot,
        "stream": True,
        "cache_prompt": True,
        "return_progress": True,  # a chunk after every batch: a look at whether to stop
        "temperature": 0.0,
        "repeat_penalty": 1.05,
        "repeat_last_n": 48,
        "stop": list(stop),
    }
    return {**body, "grammar": grammar} if grammar else body


def _finish(chunk: dict[str, Any], choice: dict[str, Any]) -> Finish:
    usage: dict[str, Any] = chunk.get("usage") or {}
    return Finish(
        reason="length" if choice["finish_reason"] == "length" else "stop",
        output_tokens=int(usage.get("completion_tokens", 0)),
    )


def _message(chunk: dict[str, Any]) -> str:
    error = chunk.get("error", chunk)
    return str(error.get("message", error) if isinstance(error, dict) else error)


def _cuts(known: str, prompt: str) -> list[int]:
    """Where to cut a prompt that is evaluated in pieces: at the ends of words, to its end."""
    start = len(os.path.commonprefix([known, prompt]))
    cuts: list[int] = []
    while start + PREFILL_CHARACTERS < len(prompt):
        space = prompt.rfind(" ", start, start + PREFILL_CHARACTERS)
        start = space if space > start else start + PREFILL_CHARACTERS
        cuts.append(start)
    return [*cuts, len(prompt)]
