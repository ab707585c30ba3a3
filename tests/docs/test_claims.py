"""No word anywhere calls an engine end-to-end that does not both hear and speak."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CLAIM = re.compile(r"end[- ]to[- ]end|speech-to-speech|\bnative(ly)?\b", re.I)
CONDITION = re.compile(r"\b(not|no|never|only|both|neither|without|where it)\b", re.I)
COMPOSED = re.compile(r"\b(light|scripted|Compose|composed|chat)\b", re.I)


def sentences(text: str) -> list[str]:
    """Sentences, list entries and table rows, each on one line."""
    flat = re.sub(r"\n(?!\n|[ ]*[-*|#])\s*", " ", text)
    return [s for line in flat.splitlines() for s in re.split(r"(?<=[.:;])\s", line)]


def false_claims(text: str) -> list[str]:
    return [
        sentence
        for sentence in sentences(text)
        if CLAIM.search(sentence) and COMPOSED.search(sentence) and not CONDITION.search(sentence)
    ]


def pages() -> list[Path]:
    found = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    return [*found, *(ROOT / "src").rglob("*.py"), *(ROOT / "src").rglob("*.html")]


def test_no_page_calls_a_composed_engine_end_to_end() -> None:
    claims = {str(p.relative_to(ROOT)): false_claims(p.read_text("utf-8")) for p in pages()}
    assert {page: found for page, found in claims.items() if found} == {}


@pytest.mark.parametrize(
    ("text", "is_false"),
    [
        ("The `light` engine is end-to-end.", True),
        ("`light` talks with native\nspeech.", True),
        ("`light` is composed, not end-to-end.", False),
        ("The end-to-end tests run in CI.", False),
    ],
)
def test_the_rule_tells_a_claim_from_its_denial(text: str, is_false: bool) -> None:
    assert bool(false_claims(text)) is is_false
