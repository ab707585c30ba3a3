"""Turns over one connection of the stock `openai` SDK.

Recordings go out on the line one after the other, each when the answer to the one before has
been heard to its end. Events come in, and go to the current turn and to the display.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from openai import AsyncOpenAI, OpenAIError
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from duologue.talk_client.display import Transcripts, waterfall
from duologue.talk_client.faults import ServerFault, TalkFault
from duologue.talk_client.line import Line
from duologue.talk_client.recording import Recording
from duologue.talk_client.server import Server
from duologue.talk_client.turn import Turn

TRANSCRIPTION_MODEL = "whisper-1"
ANSWER_S = 60.0
"""How long to wait for the end of an answer after the question has been asked."""
TRANSCRIPT_S = 5.0
"""How long to wait for the transcript of the question after the answer has come."""


@asynccontextmanager
async def connect(server: Server, model: str) -> AsyncIterator[AsyncRealtimeConnection]:
    """A connection whose session writes down what it hears.

    Raises `ServerFault` when the server cannot be reached or refuses, and `TalkFault` when
    the connection ends in the middle.
    """
    client = AsyncOpenAI(api_key=server.key, base_url=server.url, max_retries=0)
    try:
        async with client.realtime.connect(model=model) as connection:
            await connection.session.update(
                session={
                    "type": "realtime",
                    "audio": {"input": {"transcription": {"model": TRANSCRIPTION_MODEL}}},
                }
            )
            yield connection
    except InvalidStatus as fault:
        raise ServerFault(_refusal(server, fault.response.status_code, fault)) from fault
    except ConnectionClosed as fault:
        raise _ended(server, fault) from fault
    except (OSError, OpenAIError, WebSocketException) as fault:
        raise ServerFault(f"no conversation with {server.url}: {fault}") from fault


async def hold(connection: AsyncRealtimeConnection, recordings: Iterable[Recording]) -> list[Turn]:
    """Say each recording, hear its answer out, print both. Raises `TalkFault`."""
    call = Call(connection)
    try:
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(call.line.run(connection.input_audio_buffer.append))
            receiving = tasks.create_task(call.receive())
            turns = [await call.turn(recording) for recording in recordings]
            sending.cancel()
            receiving.cancel()
    except ExceptionGroup as group:  # the first fault took the other tasks with it
        raise group.exceptions[0] from None
    return turns


class Call:
    """The state of one connection: a line out, the current turn in."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.line = Line()
        self._connection = connection
        self._transcripts = Transcripts()
        self._turn = Turn()
        self._news = asyncio.Condition()
        self._configured = False

    async def receive(self) -> None:
        """Take events until cancelled. Raises `TalkFault` when the server ends the call."""
        async for event in self._connection:
            now = time.monotonic()
            if event.type == "error":
                self._transcripts.finish()
                print(f" error  {event.error.message}")
            self._transcripts.receive(event)
            async with self._news:
                # A refused setting does not keep two from talking: only the transcript is lost.
                self._configured |= event.type in ("session.updated", "error")
                self._turn.receive(event, now)
                self._news.notify_all()
        raise TalkFault("the server ended the conversation")

    async def turn(self, recording: Recording) -> Turn:
        """One recording and the answer to it. Raises `TalkFault` when none comes."""
        await self._until(lambda: self._configured, ANSWER_S)
        self._turn = turn = Turn()
        turn.speech_end = self.line.say(recording)
        await self._until(lambda: turn.answered, recording.seconds + ANSWER_S)
        if not turn.answered:
            heard = "no answer" if turn.started else "the server noticed no speech, no answer"
            raise TalkFault(f"{recording.name}: {heard} within {ANSWER_S:.0f} s")
        await self._until(lambda: turn.transcribed, TRANSCRIPT_S)
        if turn.failure is not None:
            raise TalkFault(f"{recording.name}: the answer failed: {turn.failure}")
        print(waterfall(turn.client_ms(), turn.server_ms))
        if turn.cuts:
            print(f"  the question was cut {turn.cuts}×: it was answered before it had ended")
        await asyncio.sleep(max(0.0, turn.playout.ends - time.monotonic()))
        return turn

    async def _until(self, reached: Callable[[], bool], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(reached)
        except TimeoutError:
            pass  # the caller looks at what there is


def _ended(server: Server, fault: ConnectionClosed) -> TalkFault:
    code = fault.rcvd.code if fault.rcvd else 1006
    reason = fault.rcvd.reason if fault.rcvd else "the connection broke"
    if code == 3000:
        return ServerFault(_refusal(server, 401, fault))
    return TalkFault(f"the server ended the conversation: {reason or code}")


def _refusal(server: Server, status: int, fault: Exception) -> str:
    if status in (401, 403):
        return (
            f"{server.url} refuses the key: give the one the server printed, or was started "
            "with, as --key or in DUOLOGUE_API_KEY"
        )
    body = getattr(getattr(fault, "response", None), "body", b"") or b""
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = f"HTTP status {status}"
    return f"{server.url} refuses the conversation: {message}"
