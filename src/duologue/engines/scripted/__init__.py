"""The scripted engine: no weights, no thinking; what it says and when is configured.

For tests, documentation and load: it is a fake and says so in its traits' only voice name,
"tone". With it a whole server runs deterministically with nothing to download.

    script.py ─► engine.py (live.py: one that listens while it speaks) ─► voice.py
                     └─ what it heard ─► listening.py
"""

from duologue.engines.scripted.engine import ScriptedEngine, ScriptedTalk
from duologue.engines.scripted.listening import (
    LoudnessActivity,
    LoudnessTurnEnd,
    ScriptedTranscriber,
    ScriptedTranslator,
)
from duologue.engines.scripted.live import ScriptedLiveEngine, ScriptedLiveTalk
from duologue.engines.scripted.script import Script, ScriptedCall, ScriptedReply, read_script
from duologue.engines.scripted.voice import TONE_HZ, tone

__all__ = [
    "LoudnessActivity",
    "LoudnessTurnEnd",
    "Script",
    "ScriptedCall",
    "ScriptedEngine",
    "ScriptedLiveEngine",
    "ScriptedLiveTalk",
    "ScriptedReply",
    "ScriptedTalk",
    "ScriptedTranscriber",
    "ScriptedTranslator",
    "TONE_HZ",
    "read_script",
    "tone",
]
