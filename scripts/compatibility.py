"""Writes docs/reference/compatibility.md: statements, uses of stock clients, the tests behind them.

    python scripts/compatibility.py             write the page
    python scripts/compatibility.py --check     write nothing; 1 when the page is another
    python scripts/compatibility.py --results   1 unless every test on the page has passed

Statements are in tests/data/conformance.toml, uses in clients.toml beside it, claims are the
`conformance` and `client` marks in the source of the tests: so the page needs no test run and is
the same everywhere. Whether the claims hold is asked of the outcomes that the runs before have left
(`tests/conformance.py`).
"""

import ast
import json
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "reference" / "compatibility.md"
OUTCOMES = ROOT / ".pytest_cache" / "v" / "duologue" / "conformance"

INTRODUCTION = """\
# Compatibility

What a Realtime server must do, statement by statement, what people do with its stock clients, and
the tests of this repository that show it. Made by `scripts/compatibility.py` from
`tests/data/conformance.toml` and `clients.toml` and from the marks in the tests; the last step of
`.ci/run` fails unless every test named here has passed. "No" means that no test shows it, not that
it was seen to fail.
"""

CLIENTS = """
## With stock clients

Each client unchanged, with nothing set but the address and the key. The numbers under an engine are
those of the tests below the table: with the `scripted` engine, or with the real `small` models, of
the server alone or of a chain of two, whose engine is the server behind it. The statements
are those that the client leans on there. What each trips over: [clients](clients.md).
"""


class Claim(NamedTuple):
    """One test and the statements and uses, as (client, deed), that it says it shows."""

    path: Path
    test: str
    statements: tuple[str, ...]
    uses: tuple[tuple[str, str], ...]
    is_real: bool
    """Whether it has real models behind it, and not the `scripted` engine."""
    is_chained: bool
    """Whether it runs through a chain of two servers, too."""

    @property
    def nodeid(self) -> str:
        return f"{self.path.relative_to(ROOT)}::{self.test}"

    @property
    def link(self) -> str:
        sentence = self.test.removeprefix("test_").replace("_", " ")
        return f"[{sentence}](../../{self.path.relative_to(ROOT)})"


@cache
def claims() -> tuple[Claim, ...]:
    """Every test with a mark, by file and place."""
    found = []
    for path in sorted(TESTS.rglob("test_*.py")):
        source = path.read_text()
        if "pytest.mark.conformance" in source or "pytest.mark.client" in source:
            tree = ast.parse(source)
            given = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign)]
            all_real = any(
                line.startswith("pytestmark") and "pytest.mark.weights" in line for line in given
            )
            found += [claim for node in ast.walk(tree) for claim in _claimed(path, node, all_real)]
    return tuple(found)


def _claimed(path: Path, node: ast.AST, all_real: bool) -> Iterator[Claim]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    marks = [mark for decorator in node.decorator_list for mark in _marks(decorator)]
    statements = [name for kind, names in marks if kind == "conformance" for name in names]
    uses = [(names[0], deed) for kind, names in marks if kind == "client" for deed in names[1:]]
    if not marks:
        return
    arguments = [] if isinstance(node, ast.ClassDef) else [a.arg for a in node.args.args]
    yield Claim(
        path,
        node.name,
        tuple(dict.fromkeys(statements)),
        tuple(uses),
        all_real or any(ast.unparse(one) == "pytest.mark.weights" for one in node.decorator_list),
        "serve" in arguments or "serve_weights" in arguments,
    )


def _marks(decorator: ast.expr) -> Iterator[tuple[str, list[str]]]:
    """The two kinds of marks and what they name, also where one marks a parameter set."""
    for node in ast.walk(decorator):
        if isinstance(node, ast.Call):
            kind = ast.unparse(node.func).removeprefix("pytest.mark.")
            if kind in ("conformance", "client"):
                yield kind, [ast.literal_eval(argument) for argument in node.args]


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
    lines = [INTRODUCTION, *_summary(data, absent, shown), *_clients(claims())]
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


def _clients(every: tuple[Claim, ...]) -> Iterator[str]:
    yield CLIENTS.rstrip()
    for client in tomllib.loads((TESTS / "data" / "clients.toml").read_text())["clients"]:
        tests = [claim for claim in every if any(use[0] == client["name"] for use in claim.uses)]
        yield f"\n### {client['title']}\n"
        yield "| | statements | `scripted` | chained | `small` | chained |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for deed, leans_on in client["does"].items():
            use = (client["name"], deed)
            shown = [(str(n), test) for n, test in enumerate(tests, 1) if use in test.uses]
            cells = [", ".join(leans_on)]
            for real in (False, True):
                with_it = [(n, test) for n, test in shown if test.is_real == real]
                cells.append(", ".join(n for n, _ in with_it))
                cells.append(", ".join(n for n, test in with_it if test.is_chained))
            if not shown:
                cells[1] = "no"
            yield f"| {deed} | {' | '.join(cells)} |"
        yield ""
        yield from (f"{n}. {test.link}" for n, test in enumerate(tests, 1))


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
        elif claim.uses and claim.is_chained and not any("chained" in name for name in runs):
            found.append(f"{claim.nodeid} has not run through the chain")
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
