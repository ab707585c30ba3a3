"""A stand-in for vLLM-Omni's full-duplex endpoint as documented in autumn 2026, after 0.30.

It stands at `/v1/realtime?duplex=1`, thinks nothing and hears by loudness, under server VAD only,
as the document says. Written from the published wire contract (`realtime_duplex_api`); the real
thing was never run against it. What clients sent is kept in `sessions`, for a test to look at.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from duologue.testing.duplex_answer import Answer
from duologue.testing.duplex_session import ServerSettings, Session

MINICPM = {
    "implementation_level": "model_native_duplex",
    "supports_input_append": True,
    "supports_barge_in": True,
    "supports_audio_truncate": True,
    "chunk_period_ms": 1000,
}
PERSONAPLEX = MINICPM | {"supports_barge_in": False, "supports_audio_truncate": False}
QWEN = MINICPM | {"implementation_level": "turn_based_duplex", "supports_image_input": True}


class DuplexStandIn:
    """The server. `answers` are given to turns and results, the last one again and again.

    `capabilities` are those of the model that it plays, which speaks at `rate_hz` by what its
    sessions show. One that `needs_voice` begins none without `ref_audio`, as MiniCPM-o does.
    `refuses` gives the code by which a `session.update` is refused, None where it is taken.
    """

    def __init__(
        self,
        *answers: Answer,
        capabilities: dict[str, Any] = MINICPM,
        rate_hz: int = 24_000,
        needs_voice: bool = False,
        refuses: Callable[[dict[str, Any]], str | None] = lambda update: None,
    ) -> None:
        self.sessions: asyncio.Queue[Session] = asyncio.Queue()
        """Those that have begun."""
        self._answers = answers or (Answer(),)
        self._given = 0
        self._settings = ServerSettings(
            answer=self._next_answer,
            capabilities=capabilities,
            rate_hz=rate_hz,
            needs_voice=needs_voice,
            refuses=refuses,
        )

    def _next_answer(self) -> Answer:
        self._given += 1
        return self._answers[min(self._given, len(self._answers)) - 1]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """The address, for as long as it stands."""

        async def handler(socket: ServerConnection) -> None:
            session = Session(self._settings, socket)
            self.sessions.put_nowait(session)
            await session.live()

        async with serve(handler, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            yield f"ws://127.0.0.1:{port}/v1/realtime?duplex=1"
