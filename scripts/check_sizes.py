"""Fail when a module under src/ is longer than a reader can hold in mind."""

import sys
from pathlib import Path

CEILING = 500
SOURCE = Path(__file__).resolve().parent.parent / "src"


def main() -> int:
    """Name every module above the ceiling; the exit code."""
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    long = {path: length for path, length in lengths.items() if length > CEILING}
    for path, length in sorted(long.items()):
        print(f"{path.relative_to(SOURCE.parent)}: {length} lines, the ceiling is {CEILING}")
    return 1 if long else 0


if __name__ == "__main__":
    sys.exit(main())
