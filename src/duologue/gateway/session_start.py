"""What a new session of this server begins with: its model, voice, instructions, limits.

The server's settings and what one connection or client secret asked for go in, a
`SessionConfig` comes out. Sockets and client secrets share it, so that a secret shows the
session that it will open.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from msgspec import UNSET, structs

from duologue.config import ServerConfig
from duologue.core.prompts import Prompts
from duologue.core.settings import SessionConfig, Settings
from duologue.core.talk import Ask
from duologue.core.transcription_models import DATED, TranscriptionModels
from duologue.errors import Refusal
from duologue.events import (
    EngineCard,
    RealtimeSessionUpdate,
    ResponseCreateParams,
    SessionUpdateParams,
    TranscriptionSessionUpdate,
)
from duologue.events.client_secrets import TranslationSessionCreate
from duologue.events.translation import TranslationSessionUpdate
from duologue.runtime.ids import IdSource, new_seed
from duologue.runtime.ports import Traits

OWN_MODEL = "duologue"
LISTED_MODELS = (OWN_MODEL, "gpt-realtime", "gpt-realtime-mini")
"""What `/v1/models` shows; every name that `is_known` accepts leads to the same engine."""

CONVERSATION_MODEL = re.compile(
    r"duologue|gpt-(4o-|4o-mini-)?realtime(?!-whisper|-translate)(-[a-z0-9.-]+)?"
)
"""Names that applications use for a conversation; two of that family only transcribe."""

ANY_MODEL = "(?s:.*)"

SessionType = Literal["realtime", "transcription", "translation"]
SessionStartParams = SessionUpdateParams | TranslationSessionCreate


def is_known(model: str) -> bool:
    """Whether a model name means the configured engine."""
    return CONVERSATION_MODEL.fullmatch(model) is not None


class SessionStart:
    """The beginnings of one server's sessions; `clock` gives Unix seconds.

    `why_no_transcription` is told to who asks for a session that only transcribes, where there is
    nothing that could.
    """

    def __init__(
        self,
        config: ServerConfig,
        traits: Traits,
        clock: Callable[[], float],
        *,
        models: TranscriptionModels | None = None,
        languages: tuple[str, ...] = (),
        look: Callable[[], Awaitable[Traits]] | None = None,
        why_no_transcription: str = "",
    ) -> None:
        self.prompts: Prompts = {}
        """Those that there are now; sessions that begin have them."""
        self._config = config
        self._traits = traits
        self._models = models or TranscriptionModels()
        self._languages = languages
        self._clock = clock
        self._look = look
        self._why_no_transcription = why_no_transcription

    async def look(self) -> None:
        """Learn what the engine is, where it could not tell before. Raises `EngineBusy`."""
        if self._look is not None:
            self._traits = await self._look()

    def learn(self, settings: SessionConfig, traits: Traits) -> SessionConfig:
        """What the engine has found out with a talk that it opened: the session keeps to it, too.

        Raises `Refusal` where that does not allow what the session begins with.
        """
        self._traits = traits
        learnt = structs.replace(settings, **self._bounds())
        if learnt != settings:
            self.ask(learnt)
        return learnt

    @property
    def card(self) -> EngineCard:
        """What clients are told of the engine."""
        config = self._config
        return EngineCard(
            engine=config.engine,
            profile=config.profile if config.engine == "light" else None,
            traits=self._traits.shown(),
        )

    def check_model(self, model: str, param: str | None = None) -> None:
        """Refuse a model that is not served here, unless any name is."""
        if not is_known(model) and self._config.unknown_model == "strict":
            message = f"Model '{model[:100]}' is not served here; '{OWN_MODEL}' is."
            raise Refusal("invalid_model", message, param)

    def transcriber(self, model: str) -> str | None:
        """`model`, if it is the name of one that transcribes and does not converse."""
        is_one = model in self._models.names or DATED.sub("", model) in self._models.names
        return model if is_one and not is_known(model) else None

    def running(
        self, model: str | None, start: SessionStartParams | None, kind: SessionType
    ) -> SessionConfig:
        """A session that begins now. The connection's `model` wins over the one in `start`.

        Raises `Refusal`.
        """
        expires_at = int(self._clock()) + self._config.session_max_s
        return self._session(model, start, kind, expires_at)

    def bound(self, start: SessionStartParams | None) -> SessionConfig:
        """A session that nobody has begun: it expires at 0 (GAP-29). Raises `Refusal`."""
        if isinstance(start, RealtimeSessionUpdate) and start.model:
            self.check_model(start.model, "session.model")
        kind: SessionType = "realtime"
        if isinstance(start, TranscriptionSessionUpdate):
            kind = "transcription"
        elif isinstance(start, TranslationSessionCreate):
            kind = "translation"
        return self._session(None, start, kind, 0)

    def ask(self, settings: SessionConfig) -> Ask:
        """What the engine is leased with: what the session will tell it when it begins."""
        return Settings(settings).ask(ResponseCreateParams(), None)

    def _session(
        self,
        model: str | None,
        start: SessionStartParams | None,
        kind: SessionType,
        expires_at: int,
    ) -> SessionConfig:
        config = self._config
        if kind == "transcription" and self._why_no_transcription:
            raise Refusal("invalid_model", self._why_no_transcription)
        lenient = config.unknown_model == "lenient"
        translation_start = None
        if isinstance(start, RealtimeSessionUpdate):
            model = model or start.model or None
            start = structs.replace(start, model=UNSET)
        elif isinstance(start, TranslationSessionCreate):
            model = model or start.model
            translation_start = TranslationSessionUpdate(audio=start.audio)
        return SessionConfig(
            id=IdSource(new_seed())("sess"),
            type=kind,
            model=model or OWN_MODEL,
            model_is_open=not model,
            model_names=ANY_MODEL if lenient else CONVERSATION_MODEL.pattern,
            duplex=self._traits.duplex,
            **self._bounds(),
            instructions=config.instructions,
            silence_duration_ms=config.silence_duration_ms,
            turn_during_response=config.turn_during_response,
            expires_at=expires_at,
            max_s=config.session_max_s,
            transcription_models=self._models,
            transcription_model=self.transcriber(model or ""),
            target_languages=self._languages,
            prompts=self.prompts,
            start=None if isinstance(start, TranslationSessionCreate) else start,
            translation_start=translation_start,
        )

    def _bounds(self) -> dict[str, Any]:
        """What the engine sets a session; not how turns are taken, which is settled with a talk."""
        traits = self._traits
        voice = self._config.voice or next(
            iter(traits.voices), SessionConfig(id="", model="").voice
        )
        return {
            "voice": voice,
            "voices": traits.voices,
            "calls_functions": traits.tools,
            "takes_images": traits.takes_images,
            "is_audible": traits.audible or traits.speaks,
            "context_tokens": traits.context_tokens,
            "max_output_tokens": traits.max_output_tokens,
        }
