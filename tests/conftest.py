"""What holds for every test: steady examples, official judges, statements that exist, short names.

Property tests draw the same examples every time: a red test is red for everybody. The garbage
collector leaves alone what is loaded, as in `duologue serve`: to go through all of it takes a
second, in the midst of whatever test.

`serve` starts the server of a test: by itself, and as the front of a chain of two, for which the
whole protocol must be the same.
"""

import gc

import pytest
from hypothesis import settings

from conformance import (
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_runtest_makereport,
)
from duologue.testing.timeline import Timeline
from judging import judge_timeline
from live_server import ALONE_AND_SLOWLY_CHAINED, Serve

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_makereport",
]

settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

Timeline.judges.append(judge_timeline)

LONGEST_IN_A_NAME = 60
"""Characters of a parameter that may stand in the name of its test."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name long parameters (sound, images, files) by their length: a name is for people."""
    if isinstance(val, str | bytes) and len(val) > LONGEST_IN_A_NAME:
        return f"{argname} of {len(val)}"
    return None


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


@pytest.fixture(params=ALONE_AND_SLOWLY_CHAINED)
def serve(request: pytest.FixtureRequest) -> Serve:
    """`serving` of `live_server`, or `chained`."""
    chosen: Serve = request.param
    return chosen
