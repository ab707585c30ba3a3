"""Fails unless the pure packages are covered, every line and branch, each by its own tests.

    python scripts/check_coverage.py          core, events and audio
    python scripts/check_coverage.py core     one of them, with the lines that are missing

The wire and the session are pure: no test of theirs needs a socket or a model, so there is no
reason for a line that none of them reaches. What only other tests reach does not count.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("core", "events", "audio")


def covered(package: str) -> bool:
    """Run the package's tests under coverage and report; whether nothing is missing."""
    with tempfile.TemporaryDirectory() as folder:
        data = f"--data-file={folder}/coverage"
        only = f"--include=src/duologue/{package}/*"
        tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow and not weights"]
        run = [sys.executable, "-m", "coverage", "run", data, *tests]
        if subprocess.run([*run, f"tests/{package}"], cwd=ROOT).returncode:
            return False
        report = [sys.executable, "-m", "coverage", "report", data, only, "--fail-under=100"]
        return subprocess.run(report, cwd=ROOT).returncode == 0


def main() -> int:
    """Every package, or those named; the exit code."""
    missing = [package for package in sys.argv[1:] or PACKAGES if not covered(package)]
    for package in missing:
        print(f"duologue.{package} is not covered by tests/{package}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
