"""Which test shows which statement of the protocol, and whether it did.

Statements are in tests/data/conformance.toml; tests name them with
`@pytest.mark.conformance("C-001")`. A name that is no statement ends the run before it begins.
The outcome of every test that shows one is kept under the pytest cache, merged over the runs
(`make test`, the slow tests, the stock clients): `scripts/compatibility.py --results` wants all
of them to have passed.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parent / "data" / "conformance.toml"
CACHE_KEY = "duologue/conformance"
_outcomes = pytest.StashKey[dict[str, str]]()


def statements() -> dict[str, str]:
    """Every statement by its number."""
    groups = tomllib.loads(DATA.read_text())["groups"]
    return {name: text for group in groups for name, text in group["statements"].items()}


def shown_by(item: pytest.Item) -> Iterator[str]:
    """The statements that a test says it shows."""
    for mark in item.iter_markers("conformance"):
        yield from mark.args


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse marks that name no statement."""
    known = statements()
    for item in items:
        for name in shown_by(item):
            if name not in known:
                raise pytest.UsageError(f"{item.nodeid}: there is no statement {name!r}")


def pytest_configure(config: pytest.Config) -> None:
    """Begin with no outcomes."""
    config.stash[_outcomes] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Note how a test that shows a statement went; the worst of its phases counts."""
    report = yield
    if any(shown_by(item)):
        outcomes = item.config.stash[_outcomes]
        if report.when == "setup" or not report.passed:
            outcomes[item.nodeid] = report.outcome
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Add the outcomes of this run to those of earlier ones."""
    config = session.config
    if config.option.collectonly or getattr(config, "cache", None) is None:
        return
    earlier = config.cache.get(CACHE_KEY, {})
    config.cache.set(CACHE_KEY, {**earlier, **config.stash[_outcomes]})
