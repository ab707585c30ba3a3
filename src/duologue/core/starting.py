"""What a session would begin with, without making one: for client secrets and calls.

A `SessionConfig` goes in, the effective session object comes out, by the very code that
makes the settings of a session and takes its updates; so what is refused here is what a
`session.update` would be refused, under the same path (GAP-52).
"""

from duologue.core.settings import SessionConfig, Settings
from duologue.core.transcription_settings import TranscriptionSettings
from duologue.core.translation_settings import TranslationSettings
from duologue.events import Session
from duologue.events.translation import TranslationSession


def starting_session(config: SessionConfig) -> Session | TranslationSession:
    """The whole session that `config` makes; raises `Refusal`."""
    match config.type:
        case "realtime":
            return Settings(config).session
        case "transcription":
            return TranscriptionSettings(config).session
        case "translation":
            return TranslationSettings(config).session
