"""What holds for every test: steady examples and official judges.

Property tests draw the same examples every time: a red test is red for everybody.
"""

from hypothesis import settings

from duologue.testing.timeline import Timeline
from judging import judge_timeline

settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

Timeline.judges.append(judge_timeline)
