"""Checks the documentation: every relative link leads somewhere, every page has one title."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
FENCE = re.compile(r"```.*?```", re.DOTALL)


def faults(page: Path) -> list[str]:
    """What is wrong with a page."""
    text = FENCE.sub("", page.read_text())
    found = []
    titles = [line for line in text.splitlines() if line.startswith("# ")]
    if len(titles) != 1:
        found.append(f"{page.relative_to(ROOT)}: {len(titles)} titles, where one belongs")
    targets = [target for target in LINK.findall(text) if "://" not in target]
    dead = [target for target in targets if not (page.parent / target).exists()]
    return found + [f"{page.relative_to(ROOT)}: nothing at {target}" for target in dead]


def main() -> int:
    """Print every fault; 1 when there is one."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    found = [fault for page in sorted(pages) for fault in faults(page)]
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
