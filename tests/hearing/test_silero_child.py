"""The voice-activity process as a child: what it says arrives whole, and its end is told."""

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from duologue.errors import ModelFault
from duologue.hearing.silero_child import Child, start

TELLS = """
import os, struct, time
said = b"ready\\n" + struct.pack("<If", 7, 0.5) + struct.pack("<If", 8, 0.25)
for piece in (said[:3], said[3:9], said[9:15], said[15:]):
    os.write(1, piece)
    time.sleep(0.02)
os.read(0, 1)
"""


async def test_answers_in_pieces_are_handed_on_whole_and_in_order() -> None:
    child, answers = Child(), []
    await child.run(sys.executable, "-c", TELLS)
    second: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answered(stream: int, score: float) -> None:
        answers.append((stream, score))
        if len(answers) == 2:
            second.set_result(None)

    child.answered = answered
    async with asyncio.timeout(20):
        assert await child.first_line == b"ready\n"
        await second
        assert answers == [(7, 0.5), (8, 0.25)] and child.answer_count == 2
        assert not child.ended.done()
        child.write(b"!")
        await child.ended
        assert await child.end() == "exit status 0"
    child.write(b"to nobody")


async def test_one_that_ends_without_a_word_is_said_to_have() -> None:
    child = Child()
    await child.run(sys.executable, "-c", "import os; os.write(1, b'half a li')")
    async with asyncio.timeout(20):
        assert await child.first_line == b"half a li"
        await child.ended
        assert await child.end() == "exit status 0"


async def test_one_that_cannot_be_run_leaves_nothing_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    child = Child()
    with pytest.raises(OSError):
        await child.run("/no/such/program")
    await child.ended
    assert len(os.listdir("/proc/self/fd")) == before


async def test_one_that_does_not_load_in_time_is_ended_and_named() -> None:
    before = set(psutil.Process().children())
    with pytest.raises(ModelFault, match="was not loaded in 0 s"):
        await start(Path("silero.onnx"), load_s=0.0)
    assert set(psutil.Process().children()) <= before
