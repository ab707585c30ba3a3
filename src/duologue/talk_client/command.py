"""`duologue talk`: arguments in, an exit code out.

0 every question was answered · 1 the conversation failed · 2 a file, a device or an argument
is wrong · 3 no server · 130 interrupted
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from duologue.talk_client import recording
from duologue.talk_client.faults import ServerFault, TalkFault
from duologue.talk_client.server import Server, answers, fresh, is_local

DEFAULT_URL = "http://127.0.0.1:8800/v1"


def run(arguments: argparse.Namespace) -> int:
    """Hold the conversation that was asked for; the exit code."""
    if bool(arguments.recordings) == arguments.mic:
        print("duologue talk: give recordings to say, or --mic", file=sys.stderr)
        return 2
    if arguments.mic and arguments.output:
        print("duologue talk: -o goes with recordings, not with --mic", file=sys.stderr)
        return 2
    try:
        asyncio.run(_run(arguments))
    except TalkFault as fault:
        print(f"duologue talk: {fault}", file=sys.stderr)
        return fault.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Put the arguments of `duologue talk` on a parser."""
    add = parser.add_argument
    add("recordings", nargs="*", type=Path, metavar="question.wav", help="what to say, in turn")
    add("-o", "--output", type=Path, metavar="answer.wav", help="where to write the answers")
    add("--mic", action="store_true", help="talk with microphone and loudspeaker instead")
    add(
        "--url",
        default=DEFAULT_URL,
        help="base URL of the server [%(default)s]; where none runs on this machine, one is "
        "started for the conversation",
    )
    add("--model", default="gpt-realtime", help="model to ask for [%(default)s]")
    add("--key", help="key of the server; better given in DUOLOGUE_API_KEY")


async def _run(arguments: argparse.Namespace) -> None:
    # The SDK takes a second to import; a wrong file is named before that.
    questions = [recording.read(path) for path in arguments.recordings]
    from duologue.talk_client.conversation import connect, hold
    from duologue.talk_client.microphone import converse, sound_device

    device = sound_device() if arguments.mic else None

    async with (
        _server(arguments.url, arguments.key) as server,
        connect(server, arguments.model) as connection,
    ):
        if device is not None:
            await converse(connection, device)
            return
        turns = await hold(connection, questions)
    if arguments.output:
        recording.write(arguments.output, b"".join(turn.pcm for turn in turns))


@asynccontextmanager
async def _server(url: str, key: str | None) -> AsyncIterator[Server]:
    """The server that runs at `url`, or one of our own."""
    if await answers(url):
        yield Server(url, key or os.environ.get("DUOLOGUE_API_KEY") or "none")
        return
    if not is_local(url):
        raise ServerFault(f"nobody answers at {url}")
    print(f"No server at {url}: starting one for this conversation.", file=sys.stderr)
    async with fresh() as server:
        yield server
