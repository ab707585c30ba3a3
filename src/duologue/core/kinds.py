"""The three kinds of session as one: what the runner and a replay drive.

A `SessionConfig` goes in; its `type` says which core comes out. All are driven alike.
"""

from collections.abc import Callable
from typing import Protocol

from duologue.core.inputs import Input
from duologue.core.outputs import Output
from duologue.core.session import Session
from duologue.core.settings import SessionConfig
from duologue.core.talk import Ask
from duologue.core.transcription_session import TranscriptionSession
from duologue.core.translation import TranslationSession
from duologue.events import AudioInput, ResponseCreate, SessionUpdate, TranscriptionAudioInput


class AnySession(Protocol):
    """A pure session: outputs follow from inputs and times alone."""

    id: str

    @property
    def deadline(self) -> float | None:
        """When to handle a `Tick` at the latest, in monotonic seconds; None once it is over."""

    @property
    def scores_audio(self) -> bool:
        """Whether sound should come with a speech probability."""

    @property
    def audio_input(self) -> AudioInput | TranscriptionAudioInput:
        """How the session listens: what the edge needs of it, the format and the cleaning."""

    def proposed(self, event: SessionUpdate | ResponseCreate) -> Ask | None:
        """What the engine would be asked, if `event` gives it more to read; changes nothing."""

    def open(self, now: float) -> list[Output]:
        """The first outputs."""

    def handle(self, entry: Input, now: float) -> list[Output]:
        """What follows from one input."""


def make_session(config: SessionConfig, *, new_id: Callable[[str], str], now: float) -> AnySession:
    """The session that `config` describes."""
    match config.type:
        case "realtime":
            return Session(config, new_id=new_id, now=now)
        case "transcription":
            return TranscriptionSession(config, new_id=new_id, now=now)
        case "translation":
            return TranslationSession(config, new_id=new_id, now=now)
