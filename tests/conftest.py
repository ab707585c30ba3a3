"""What holds for every test: steady examples, official judges, statements that exist.

Property tests draw the same examples every time: a red test is red for everybody.
"""

from hypothesis import settings

from conformance import (
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_runtest_makereport,
)
from duologue.testing.timeline import Timeline
from judging import judge_timeline

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_makereport",
]

settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

Timeline.judges.append(judge_timeline)
