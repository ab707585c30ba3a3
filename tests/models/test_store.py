"""The store gives a path only for files that are what the catalogue says."""

import os
from pathlib import Path

import pytest

from duologue.errors import ModelFault
from duologue.models import ModelEntry, Store
from duologue.models.store import sha256_of

WEIGHTS = b"one " * 5000 + b"two " * 4000 + b"three " * 10


@pytest.fixture
def filled(store: Store, toy: ModelEntry) -> Store:
    folder = store.directory / "toy"
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(WEIGHTS)
    (folder / "config.json").write_bytes(b'{"toy": true}')
    return store


def test_files_copied_by_hand_are_as_good_as_pulled_ones(filled, toy):
    assert filled.state(toy) == "present"
    assert filled.verify(toy) == filled.directory / "toy"


def test_a_missing_file_is_refused_by_name_with_the_remedy(filled, toy):
    (filled.directory / "toy" / "config.json").unlink()
    with pytest.raises(ModelFault) as refused:
        filled.verify(toy)
    text = str(refused.value)
    assert "toy: config.json is missing" in text
    assert toy.files[1].sha256 in text
    assert "duologue models pull toy" in text
    assert filled.state(toy) == "partial"


def test_a_truncated_file_is_refused_by_name_and_both_hashes(filled, toy):
    path = filled.directory / "toy" / "weights.bin"
    filled.verify(toy)
    os.truncate(path, 100)
    with pytest.raises(ModelFault) as refused:
        filled.verify(toy)
    text = str(refused.value)
    assert "weights.bin is truncated: expected 36060 bytes" in text
    assert f"found 100 bytes, sha256 {sha256_of(path)}" in text
    assert toy.files[0].sha256 in text
    assert filled.state(toy) == "altered"


def test_an_altered_file_of_the_right_size_is_refused(filled, toy):
    path = filled.directory / "toy" / "weights.bin"
    filled.verify(toy)
    was = path.stat()
    path.write_bytes(b"0" + WEIGHTS[1:])
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns + 1))
    with pytest.raises(ModelFault, match=r"weights\.bin is altered") as refused:
        filled.verify(toy)
    assert sha256_of(path) in str(refused.value)


def test_a_file_is_hashed_once_while_it_stays_the_same(filled, toy):
    hashed: list[int] = []
    filled.verify(toy, on_bytes=hashed.append)
    assert sum(hashed) == toy.bytes
    again: list[int] = []
    Store(filled.directory, [toy]).verify(toy, on_bytes=again.append)
    assert again == []


def test_a_new_modification_time_means_a_new_hash(filled, toy):
    filled.verify(toy)
    os.utime(filled.directory / "toy" / "config.json", ns=(1, 1))
    hashed: list[int] = []
    filled.verify(toy, on_bytes=hashed.append)
    assert sum(hashed) == toy.files[1].bytes


def test_fresh_distrusts_what_is_remembered(filled, toy):
    path = filled.directory / "toy" / "weights.bin"
    filled.verify(toy)
    was = path.stat()
    path.write_bytes(b"0" + WEIGHTS[1:])
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    with pytest.raises(ModelFault, match="altered"):
        filled.verify(toy, fresh=True)


@pytest.mark.parametrize("notes", [b"", b"{", b"\xff", b'{"toy/weights.bin": [1]}'])
def test_spoiled_notes_cost_a_hash_and_nothing_else(filled, toy, notes):
    (filled.directory / ".verified.json").write_bytes(notes)
    assert filled.verify(toy) == filled.directory / "toy"


def test_a_store_that_cannot_keep_notes_still_verifies(filled, toy):
    (filled.directory / ".verified.json").mkdir()
    assert filled.verify(toy) == filled.directory / "toy"
    assert sorted(path.name for path in filled.directory.iterdir()) == [".verified.json", "toy"]


def test_an_empty_store_misses_everything(store, toy):
    assert store.state(toy) == "missing"


def test_a_model_of_one_file_is_a_file_and_of_several_a_directory(tmp_path: Path):
    store = Store(tmp_path)
    assert store.path(store.entry("silero-vad")) == tmp_path / "silero-vad" / "silero_vad.onnx"
    assert store.path(store.entry("whisper-base")) == tmp_path / "whisper-base"
