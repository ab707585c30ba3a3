"""The page of statements: what it claims, and what it takes for a claim to hold."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance import statements

ROOT = Path(__file__).parent.parent.parent
pytest_plugins = ["pytester"]


@pytest.fixture(scope="module")
def script() -> dict[str, Callable[..., Any]]:
    return runpy.run_path(str(ROOT / "scripts" / "compatibility.py"))


def test_every_statement_has_a_row_and_no_absent_one_is_claimed(
    script: dict[str, Callable[..., Any]],
) -> None:
    rows = [line.split(" | ") for line in script["page"]().splitlines() if line[:4] == "| C-"]
    assert {row[0].removeprefix("| ") for row in rows} == set(statements())
    assert {row[2].partition(":")[0] for row in rows} <= {
        "yes",
        "no",
        "in part",
        "not applicable yet",
    }
    assert not [row[0] for row in rows if row[2] == "not applicable yet" and "tests/" in row[3]]


def test_the_source_claims_what_the_marks_of_the_collected_tests_do(
    script: dict[str, Callable[..., Any]], request: pytest.FixtureRequest
) -> None:
    here = request.node.nodeid.partition("::")[0]
    claimed = {claim.nodeid for claim in script["claims"]()}
    marked = {
        item.nodeid.partition("[")[0]
        for item in request.session.items
        if item.get_closest_marker("conformance")
    }
    assert marked <= claimed
    assert not [claim for claim in claimed if claim.startswith(here)]


def test_a_claim_holds_when_every_run_of_its_test_has_passed(
    script: dict[str, Callable[..., Any]],
) -> None:
    passed = {claim.nodeid: "passed" for claim in script["claims"]()}
    assert script["unproven"](passed) == []
    one, two, *_ = passed
    split = {key: value for key, value in passed.items() if key != one}
    assert script["unproven"](split) == [f"{one} has not run"]
    split |= {f"{one}[a]": "passed", f"{one}[b]": "failed", f"{two}_longer": "failed"}
    assert script["unproven"](split) == [f"{one}[b] failed"]
    assert script["unproven"](passed | {two: "skipped"}) == [f"{two} skipped"]


def test_a_mark_that_names_no_statement_ends_the_run(pytester: pytest.Pytester) -> None:
    marks = "markers = conformance(*ids): statements"
    pytester.makeini(f"[pytest]\npythonpath = {ROOT / 'tests'}\n{marks}")
    pytester.makeconftest("from conformance import *")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.conformance("C-999")
        def test_of_nothing():
            pass
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:asyncio")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*there is no statement 'C-999'*"])


def test_outcomes_of_several_runs_are_added_up(pytester: pytest.Pytester) -> None:
    marks = "markers = conformance(*ids): statements"
    pytester.makeini(f"[pytest]\npythonpath = {ROOT / 'tests'}\n{marks}")
    pytester.makeconftest("from conformance import *")
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def broken():
            yield
            raise RuntimeError

        @pytest.mark.conformance("C-001")
        def test_one():
            pass

        @pytest.mark.conformance("C-002")
        def test_two(broken):
            pass

        @pytest.mark.conformance("C-003")
        def test_three():
            pytest.skip()
        """
    )
    for name in ("one", "two", "three"):
        pytester.runpytest_inprocess("-p", "no:asyncio", "-k", name)
    kept = pytester.path / ".pytest_cache" / "v" / "duologue" / "conformance"
    outcomes = {
        key.partition("::")[2]: value for key, value in json.loads(kept.read_text()).items()
    }
    assert outcomes == {"test_one": "passed", "test_two": "failed", "test_three": "skipped"}
