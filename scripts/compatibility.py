"""Writes docs/reference/compatibility.md: each statement of the protocol and the tests behind it.

    python scripts/compatibility.py             write the page
    python scripts/compatibility.py --check     write nothing; 1 when the page is another
    python scripts/compatibility.py --results   1 unless every test on the page has passed

Statements are in tests/data/conformance.toml, claims are the `conformance` marks in the source of
the tests: so the page needs no test run and is the same everywhere. Whether the claims hold is
asked of the outcomes that the runs before have left (`tests/conformance.py`).
"""

import ast
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "reference" / "compatibility.md"
OUTCOMES = ROOT / ".pytest_cache" / "v" / "duologue" / "conformance"

CLIENTS = {
    "test_openai_sdk.py": "`openai` for Python",
    "test_openai_beta.py": "`openai` for Python, beta",
    "test_openai_beta_light.py": "`openai` for Python, beta",
    "test_agents_sdk.py": "`openai-agents` for Python",
    "test_livekit.py": "LiveKit's `RealtimeModel`",
    "test_pipecat.py": "Pipecat's `OpenAIRealtimeLLMService`",
    "test_barge_in.py": "The Agents SDKs, `openai` for Node, LiveKit and Pipecat, interrupted",
    "test_agents_browser.py": "`@openai/agents-realtime` in Chromium, over WebRTC",
    "test_node_clients.py": "`openai` and `@openai/agents-realtime` for Node",
}
"""Which stock client a file of tests/e2e drives."""

INTRODUCTION = """\
# Compatibility

What a Realtime server must do, statement by statement, and the tests of this repository that show
it. Made by `scripts/compatibility.py` from `tests/data/conformance.toml` and from the marks in
the tests; the last step of `.ci/run` fails unless every test named here has passed. "No" means
that no test shows it, not that it was seen to fail.
"""


class Claim(NamedTuple):
    """One test and the statements that it says it shows."""

    path: Path
    test: str
    statements: tuple[str, ...]

    @property
    def nodeid(self) -> str:
        return f"{self.path.relative_to(ROOT)}::{self.test}"

    @property
    def link(self) -> str:
        sentence = self.test.removeprefix("test_").replace("_", " ")
        return f"[{sentence}](../../{self.path.relative_to(ROOT)})"


def claims() -> list[Claim]:
    """Every test with a mark, by file and place."""
    found = []
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names = [name for mark in node.decorator_list for name in _named(mark)]
                if names:
                    found.append(Claim(path, node.name, tuple(dict.fromkeys(names))))
    return found


def _named(decorator: ast.expr) -> Iterator[str]:
    """The statements in `pytest.mark.conformance(…)`, also where it marks one parameter set."""
    for node in ast.walk(decorator):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.conformance":
            yield from (ast.literal_eval(argument) for argument in node.args)


def page() -> str:
    """The page."""
    data = tomllib.loads((TESTS / "data" / "conformance.toml").read_text())
    absent = {
        name: part["reason"] for part in data["not_applicable"] for name in part["statements"]
    }
    shown: dict[str, list[Claim]] = {}
    for claim in claims():
        for name in claim.statements:
            shown.setdefault(name, []).append(claim)
    lines = [INTRODUCTION, *_summary(data, absent, shown), *_clients()]
    for group in data["groups"]:
        lines += ["", f"## {group['title']}", ""]
        lines += ["| | statement | | shown by |", "| --- | --- | --- | --- |"]
        for name, text in group["statements"].items():
            note = data["notes"].get(name) or absent.get(name)
            state = _state(name, absent, shown, data["notes"])
            links = "; ".join(claim.link for claim in shown.get(name, ()))
            lines.append(f"| {name} | {_cell(text)} | {state} | {links or note or ''} |")
    return "\n".join(lines) + "\n"


def _state(
    name: str, absent: dict[str, str], shown: dict[str, list[Claim]], notes: dict[str, str]
) -> str:
    if name in absent:
        return "not applicable yet"
    if name in shown:
        return f"in part: {notes[name]}" if name in notes else "yes"
    return "no"


def _summary(
    data: dict[str, list[dict[str, dict[str, str]]]],
    absent: dict[str, str],
    shown: dict[str, list[Claim]],
) -> list[str]:
    every = [name for group in data["groups"] for name in group["statements"]]
    applicable = [name for name in every if name not in absent]
    count = sum(name in shown for name in applicable)
    return [
        f"Of {len(every)} statements {len(applicable)} apply to what the server offers; "
        f"{count} of these are shown by tests."
    ]


def _clients() -> list[str]:
    by_client: dict[str, dict[str, list[str]]] = {}
    for claim in claims():
        if claim.path.parent.name == "e2e" and claim.path.name in CLIENTS:
            client = by_client.setdefault(CLIENTS[claim.path.name], {})
            client.setdefault(claim.path.name, []).extend(claim.statements)
    lines = ["", "## With stock clients", ""]
    if (PAGE.parent / "clients.md").exists():
        lines += ["What each does and trips over: [clients](clients.md).", ""]
    lines += ["| client | statements | shown in |", "| --- | --- | --- |"]
    for client, files in sorted(by_client.items()):
        statements = ", ".join(sorted({name for names in files.values() for name in names}))
        links = ", ".join(f"[{name}](../../tests/e2e/{name})" for name in sorted(files))
        lines.append(f"| {client} | {statements} | {links} |")
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def unproven(outcomes: dict[str, str]) -> list[str]:
    """What keeps the claims from being true, one sentence each."""
    found = []
    for claim in claims():
        inside = (f"{claim.nodeid}[", f"{claim.nodeid}::")  # its parameter sets, or a class's tests
        runs = {
            nodeid: outcome
            for nodeid, outcome in outcomes.items()
            if nodeid == claim.nodeid or nodeid.startswith(inside)
        }
        if not runs:
            found.append(f"{claim.nodeid} has not run")
        found += [f"{nodeid} {outcome}" for nodeid, outcome in runs.items() if outcome != "passed"]
    return found


def main() -> int:
    """Write the page, or check it or its claims."""
    if "--results" in sys.argv:
        outcomes = json.loads(OUTCOMES.read_text()) if OUTCOMES.exists() else {}
        faults = unproven(outcomes)
        for fault in faults:
            print(f"claimed in {PAGE.relative_to(ROOT)}, but {fault}")
        return 1 if faults else 0
    text = page()
    if "--check" in sys.argv:
        stale = not PAGE.exists() or PAGE.read_text() != text
        if stale:
            print(f"{PAGE.relative_to(ROOT)} is not what the tests claim: run `make docs`")
        return 1 if stale else 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
