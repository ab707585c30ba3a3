"""Install PyTorch and transformers into .venv, for tests of real models with random weights.

    python scripts/install_torch.py

Of the server only the engine `moshi` needs them; the slow tests that build such models are
skipped without them.
By pip, which is where a machine is told of builds for its processor; what the locks name keeps
its version. Exit code 1 when they cannot be installed.
"""

import importlib.metadata
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "dev.txt"
WANTED = {
    "torch": "2.13.0",
    "transformers": "5.24.0",  # Qwen2.5-Omni, Mimi and Moshi, built from their settings
}


def is_installed(name: str, version: str) -> bool:
    """Whether this very version is there; a build of it (`2.13.0+cpu`) counts."""
    try:
        return importlib.metadata.version(name).split("+")[0] == version
    except importlib.metadata.PackageNotFoundError:
        return False


def locked() -> str:
    """The versions in the lock as constraints, without the hashes."""
    pins = re.findall(r"^[a-z0-9][^\s;\\]*==[^\s;\\]+", LOCK.read_text(), re.MULTILINE)
    return "\n".join(re.sub(r"\[.*?\]", "", pin) for pin in pins)


def main() -> int:
    """Install what is missing; the exit code."""
    missing = [f"{name}=={version}" for name, version in WANTED.items()]
    missing = [one for one in missing if not is_installed(*one.split("=="))]
    if not missing:
        return 0
    print(f"installing {' and '.join(missing)} into {Path(sys.prefix).name}", flush=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write(locked())
        constraints.flush()
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
        command += ["--quiet", "--constraint", constraints.name, *missing]
        return 1 if subprocess.run(command).returncode else 0


if __name__ == "__main__":
    sys.exit(main())
