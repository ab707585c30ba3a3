"""Writes the reference pages that are made from code: events and errors.

`python scripts/generate_reference.py` writes docs/reference/{events,errors}.md; with
`--check` it writes nothing and exits 1 when a page is not what it would write.
"""

import ast
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import NODEFAULT, Struct, structs

from duologue.events import CLIENT_EVENTS, SERVER_EVENTS
from duologue.events.beta_client import BETA_CLIENT_EVENTS, BetaResponseCreateParams
from duologue.events.beta_objects import (
    BetaResponse,
    BetaSession,
    BetaTranscriptionSession,
)
from duologue.events.beta_server import BETA_NAMES, BETA_SERVER_EVENTS
from duologue.events.translation import TRANSLATION_CLIENT_EVENTS, TRANSLATION_SERVER_EVENTS
from duologue.gateway.faults import CODES

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "reference"
NOT_SENT = ("mcp", "dtmf", "segment")
"""Types of the vocabulary that no part of the server sends yet."""
IN_CALLS = "output_audio_buffer"
"""Types that are sent where the server plays the sound."""
BETA_ONLY = "conversation.created"
"""A type of the vocabulary that only beta connections are sent (GAP-3)."""

BETA_SHAPES = {
    "session": BetaSession,
    "transcription session": BetaTranscriptionSession,
    "response": BetaResponse,
    "response of `response.create`": BetaResponseCreateParams,
}

CODE_ARGUMENT = {"Refusal": 0, "BadEvent": 0, "Fatal": 1, "get": 1, "find": 1}
"""Which argument of a call is a code."""
CODE = re.compile(r"[a-z]+(_[a-z0-9]+)+")
RANGE_CODES = [
    f"{kind}_{side}_value" for kind in ("integer", "decimal") for side in ("below_min", "above_max")
]
"""Codes that `events/faults.py` puts together from the bound that was crossed."""


def events_page() -> str:
    """Every event with its fields."""
    lines = [
        "# Events",
        "",
        "Made from `duologue.events` by `scripts/generate_reference.py`. A field in *italics*",
        "may be absent. What the events mean is the Realtime protocol's; what duologue does",
        "where the protocol is silent is in [the design](../explanation/design.md).",
    ]
    tables: tuple[tuple[str, Mapping[str, type[Struct]]], ...] = (
        ("Client events", CLIENT_EVENTS),
        ("Server events", SERVER_EVENTS),
        ("Client events of a translation session", TRANSLATION_CLIENT_EVENTS),
        ("Server events of a translation session", TRANSLATION_SERVER_EVENTS),
    )
    for title, table in tables:
        lines += ["", f"## {title}", "", "| event | fields | |", "| --- | --- | --- |"]
        for name, kind in sorted(table.items()):
            fields = [
                field.encode_name if field.default is NODEFAULT else f"*{field.encode_name}*"
                for field in structs.fields(kind)
            ]
            is_later = title == "Server events" and any(word in name for word in NOT_SENT)
            note = "not sent yet" if is_later else "beta only" if name == BETA_ONLY else ""
            if name.startswith(IN_CALLS):
                note = "in calls only"
            lines.append(f"| `{name}` | {', '.join(fields)} | {note} |")
    return "\n".join(lines + _beta_tables()) + "\n"


def _beta_tables() -> list[str]:
    """What a beta connection calls the events, and the shapes that only it has."""
    lines = [
        "",
        "## Beta",
        "",
        "A connection that [asks for the beta protocol](../howto/beta.md) has these events, and",
        "never one that is not here.",
        "",
        "| beta event | in GA |",
        "| --- | --- |",
    ]
    for name, kind in sorted((BETA_CLIENT_EVENTS | BETA_SERVER_EVENTS).items()):
        ga = BETA_NAMES.get(name, name)
        is_same = kind in {**CLIENT_EVENTS, **SERVER_EVENTS}.values()
        told = "the same" if is_same else f"`{ga}`" + (", in another shape" if ga == name else "")
        lines.append(f"| `{name}` | {told} |")
    lines += ["", "| flat object | fields |", "| --- | --- |"]
    for name, shape in BETA_SHAPES.items():
        fields = ", ".join(field.encode_name for field in structs.fields(shape))
        lines.append(f"| {name} | {fields} |")
    return lines


def errors_page() -> str:
    """Every code a `Refusal` is made with in the source, and where."""
    found: dict[str, set[str]] = {code: {"faults"} for code in RANGE_CODES}
    for path in sorted((ROOT / "src" / "duologue").rglob("*.py")):
        tree = ast.parse(path.read_text())
        names = _constants(tree)
        for node in ast.walk(tree):
            for code in _codes(node, names):
                found.setdefault(code, set()).add(path.stem)
    lines = [
        "# Errors",
        "",
        "Codes of `error` events, found in the source by `scripts/generate_reference.py`. Every",
        "refusal names the path of the bad field in `param` and echoes the client's `event_id`;",
        "nothing has changed. An engine's failure is no `error` but a `response.done` with",
        "status `failed`.",
        "",
        "| code | made in |",
        "| --- | --- |",
    ]
    lines += [
        f"| `{code}` | {', '.join(f'`{name}`' for name in sorted(places))} |"
        for code, places in sorted(found.items())
    ]
    lines += [
        "",
        "## HTTP",
        "",
        'The body is `{"error": {message, type, param, code}}`. A refused body is a 400 with one',
        "of the codes above and the path of the bad field; besides:",
        "",
        "| status | code |",
        "| --- | --- |",
    ]
    lines += [f"| {status} | `{code}` |" for status, code in sorted(CODES.items())]
    return "\n".join(lines) + "\n"


def _constants(tree: ast.Module) -> dict[str, object]:
    """The module's constants that stand for a code."""
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _codes(node: ast.AST, names: Mapping[str, object]) -> list[str]:
    """The codes that a piece of source makes refusals with."""
    if not isinstance(node, ast.Call):
        return []
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    position = CODE_ARGUMENT.get(name)
    if position is None or len(node.args) <= position:
        return []
    given = node.args[position]
    value = given.value if isinstance(given, ast.Constant) else None
    if isinstance(given, ast.Name):
        value = names.get(given.id)
    return [str(value)] if CODE.fullmatch(str(value)) else []


def main() -> int:
    """Write the pages, or check them."""
    pages = {"events.md": events_page(), "errors.md": errors_page()}
    stale = [n for n, text in pages.items() if _read(PAGES / n) != text]
    if "--check" in sys.argv:
        for name in stale:
            print(f"docs/reference/{name} is not what the code says: run `make docs`")
        return 1 if stale else 0
    for name in stale:
        (PAGES / name).write_text(pages[name])
    return 0


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
