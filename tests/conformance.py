"""Which test shows which statement of the protocol or use of a stock client, and whether it did.

Statements are in tests/data/conformance.toml, what people do with each client in clients.toml;
tests name them with `@pytest.mark.conformance("C-001")` and
`@pytest.mark.client("LiveKit", "voice turn")`. A name of nothing ends the run before it begins.
The outcome of every test that shows one is kept under the pytest cache, merged over the runs
(`make test`, the slow tests, the stock clients): `scripts/compatibility.py --results` wants all
of them to have passed.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parent / "data"
CACHE_KEY = "duologue/conformance"
SHOWS = ("shows something", True)
"""A property of the reports that count; it goes with them from a process that runs tests."""


def statements() -> dict[str, str]:
    """Every statement by its number."""
    groups = tomllib.loads((DATA / "conformance.toml").read_text())["groups"]
    return {name: text for group in groups for name, text in group["statements"].items()}


def uses() -> dict[tuple[str, str], list[str]]:
    """What people do with each client, as (client, deed), and the statements it leans on."""
    clients = tomllib.loads((DATA / "clients.toml").read_text())["clients"]
    return {
        (client["name"], deed): leans_on
        for client in clients
        for deed, leans_on in client["does"].items()
    }


def shown_by(item: pytest.Item) -> Iterator[str | tuple[str, str]]:
    """The statements, and the uses of clients, that a test says it shows."""
    for mark in item.iter_markers("conformance"):
        yield from mark.args
    for mark in item.iter_markers("client"):
        client, *deeds = mark.args
        yield from ((client, deed) for deed in deeds or ("(nothing)",))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse marks that name nothing."""
    known = {*statements(), *uses()}
    for item in items:
        for name in shown_by(item):
            if name not in known:
                what = f"statement {name!r}" if isinstance(name, str) else f"use {name!r}"
                raise pytest.UsageError(f"{item.nodeid}: there is no {what}")


def pytest_configure(config: pytest.Config) -> None:
    """Listen to the reports, in the process where they all come together."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Outcomes(config), "conformance outcomes")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Say of a report whether its test shows something."""
    report = yield
    if any(shown_by(item)):
        report.user_properties.append(SHOWS)
    return report


class Outcomes:
    """How the tests that show something went; the worst of a test's phases counts."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a phase of a test."""
        if SHOWS in map(tuple, report.user_properties):
            if report.when == "setup" or not report.passed:
                self._outcomes[report.nodeid] = report.outcome

    def pytest_sessionfinish(self) -> None:
        """Add the outcomes of this run to those of earlier ones."""
        config = self._config
        if config.option.collectonly or getattr(config, "cache", None) is None:
            return
        earlier = config.cache.get(CACHE_KEY, {})
        config.cache.set(CACHE_KEY, {**earlier, **self._outcomes})
