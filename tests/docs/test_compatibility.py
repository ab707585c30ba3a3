"""The page of statements: what it claims, and what it takes for a claim to hold."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance import statements, uses

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
        if item.get_closest_marker("conformance") or item.get_closest_marker("client")
    }
    assert marked <= claimed
    assert not [claim for claim in claimed if claim.startswith(here)]


def test_the_source_tells_the_engine_and_the_chain_of_the_collected_tests(
    script: dict[str, Callable[..., Any]], request: pytest.FixtureRequest
) -> None:
    told = {claim.nodeid: claim for claim in script["claims"]() if claim.uses}
    for item in request.session.items:
        name, _, parameters = item.nodeid.partition("[")
        if name in told:
            assert told[name].is_real == bool(item.get_closest_marker("weights")), name
            assert told[name].is_chained or "chained" not in parameters, name


def test_each_use_of_a_client_is_a_row_that_leans_on_statements(
    script: dict[str, Callable[..., Any]],
) -> None:
    lines = script["page"]().splitlines()
    for (_, deed), leans_on in uses().items():
        assert leans_on and set(leans_on) <= set(statements())
        start = f"| {deed} | {', '.join(leans_on)} | "
        assert [line for line in lines if line.startswith(start)]


def test_a_claim_holds_when_every_run_of_its_test_has_passed(
    script: dict[str, Callable[..., Any]],
) -> None:
    every = script["claims"]()
    passed = {
        claim.nodeid + ("[chained]" if claim.uses and claim.is_chained else ""): "passed"
        for claim in every
    }
    assert script["unproven"](passed) == []
    one, two, *_ = [claim.nodeid for claim in every if not claim.uses]
    split = {key: value for key, value in passed.items() if key != one}
    assert script["unproven"](split) == [f"{one} has not run"]
    split |= {f"{one}[a]": "passed", f"{one}[b]": "failed", f"{two}_longer": "failed"}
    assert script["unproven"](split) == [f"{one}[b] failed"]
    assert script["unproven"](passed | {two: "skipped"}) == [f"{two} skipped"]
    last = next(claim.nodeid for claim in every if claim.uses and claim.is_chained)
    alone = {key.removesuffix("[chained]"): value for key, value in passed.items()}
    assert f"{last} has not run through the chain" in script["unproven"](alone)


def begin(pytester: pytest.Pytester) -> None:
    """A suite of its own, with our marks."""
    marks = "markers =\n    conformance(*ids): statements\n    client(name, *uses): uses"
    pytester.makeini(f"[pytest]\npythonpath = {ROOT / 'tests'}\n{marks}")
    pytester.makeconftest("from conformance import *")


@pytest.mark.parametrize(
    ("mark", "complaint"),
    [
        ('conformance("C-999")', "statement 'C-999'"),
        ('client("LiveKit", "telepathy")', "use *telepathy"),
        ('client("Nobody", "connection")', "use *Nobody"),
        ('client("LiveKit")', "use *nothing"),
    ],
    ids=["statement", "use", "client", "nothing"],
)
def test_a_mark_that_names_nothing_ends_the_run(
    pytester: pytest.Pytester, mark: str, complaint: str
) -> None:
    begin(pytester)
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.{mark}
        def test_of_nothing():
            pass
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:asyncio")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*there is no {complaint}*"])


def test_outcomes_of_several_runs_are_added_up(pytester: pytest.Pytester) -> None:
    begin(pytester)
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

        @pytest.mark.client("LiveKit", "voice turn")
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
