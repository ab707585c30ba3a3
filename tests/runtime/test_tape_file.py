"""Files written beside a session: in order, without waiting, and bounded."""

import logging
import resource
import threading
from pathlib import Path

import pytest

from duologue.runtime.tape_file import QUEUE_ENTRIES, TapeFile


def test_entries_are_written_in_order_behind_the_head(tmp_path: Path) -> None:
    threads: set[int] = set()

    def encode(number: int) -> bytes:
        threads.add(threading.get_ident())
        return b" %d" % number

    def head() -> bytes:
        threads.add(threading.get_ident())
        return b"head"

    tape = TapeFile(tmp_path / "tape", head, encode)
    for number in range(3):
        tape.put(number)
    tape.close()
    tape.put(4)  # nothing, once it is closed
    assert (tmp_path / "tape").read_bytes() == b"head 0 1 2"
    assert len(threads) == 1 and threading.get_ident() not in threads


def test_a_slow_disk_ends_the_tape_and_holds_up_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    goes_on = threading.Event()

    def encode(number: int) -> bytes:
        goes_on.wait()
        return b"x"

    tape = TapeFile(tmp_path / "tape", bytes, encode)
    for number in range(QUEUE_ENTRIES + 10):
        tape.put(number)
    assert [record.message for record in caplog.records] == [
        "tape tape ends early: the disk is too slow"
    ]
    goes_on.set()
    tape.close()
    assert QUEUE_ENTRIES <= len((tmp_path / "tape").read_bytes()) <= QUEUE_ENTRIES + 1


def test_a_file_that_is_there_already_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tape"
    path.write_bytes(b"mine")
    with caplog.at_level(logging.WARNING):
        tape = TapeFile(path, lambda: b"head", lambda number: b"%d" % number)
        tape.put(1)
        tape.close()
    assert path.read_bytes() == b"mine"
    assert "tape tape ends: File exists" in caplog.text


def test_a_disk_that_is_full_at_the_very_end_holds_up_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tape = TapeFile(tmp_path / "tape", lambda: b"head", lambda number: b"%d" % number)
    tape.put(1)  # small enough to be written when the file is closed
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
    try:
        with caplog.at_level(logging.WARNING):
            tape.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [record.message for record in caplog.records] == ["tape tape ends: File too large"]


def test_a_head_that_cannot_be_encoded_ends_the_tape_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def head() -> bytes:
        raise ValueError("no head")

    tape = TapeFile(tmp_path / "tape", head, bytes)
    tape.put(1)
    tape.close()
    assert "tape tape broke" in caplog.text
    assert (tmp_path / "tape").read_bytes() == b""


def test_an_entry_that_cannot_be_encoded_ends_the_tape_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def encode(number: int) -> bytes:
        raise ValueError("no number")

    tape = TapeFile(tmp_path / "tape", lambda: b"head", encode)
    tape.put(1)
    tape.close()
    assert "tape tape broke" in caplog.text
    assert (tmp_path / "tape").read_bytes() == b"head"
