"""The scripted engine: no weights, no thinking; what it says and when is configured.

For tests, documentation and load: it is a fake and says so in its traits' only voice name,
"tone". Asks come in; the script's replies come out, voiced as a tone, one `Say` per word.
Its transcriber hands out configured transcripts in order, its voice activity is loudness and
its turn ends are a matter of length, so that a whole server runs deterministically with
nothing to download.
"""

import array
import asyncio
import math
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import msgspec

from duologue.audio import pcm as audio
from duologue.core.talk import (
    Ask,
    Began,
    Call,
    Done,
    Item,
    Part,
    ReplyEvent,
    Say,
    Transcript,
    TranscriptionAsk,
    TranscriptPart,
    TranslationAsk,
)
from duologue.core.transcription_models import TranscriptionModels
from duologue.engines.window import Window
from duologue.errors import ConfigFault, EngineBusy, EngineFault
from duologue.events import LogProb
from duologue.runtime.ports import ActivityStream, Talk, Traits

TONE_HZ = 220
TONE_AMPLITUDE = 8000


class ScriptedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function call the script makes, if the ask offers a tool of that name."""

    name: str
    arguments: str = "{}"


class ScriptedReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reply. `when` must occur in the last user text or tool result ("" fits always).

    `text` may hold `{heard}`, which becomes that last text. `first_delay_ms` passes before
    the first event, `word_delay_ms` before each further word. With `frame_ms` the sound comes in
    frames of so many ms, each when it is due, as from an engine that speaks in real time. `fail`
    ends the reply with that fault after its text.
    """

    text: str = ""
    when: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    first_delay_ms: int = 0
    word_delay_ms: int = 0
    frame_ms: int = 0
    fail: str = ""


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the engine says (the first reply that fits) and hears (`transcripts` and
    `translations` in turn).

    A word is a token, of instructions, history and replies; `context_tokens` are remembered.
    `duplex`: as a model that listens while it speaks (`scripted_live.py`).
    """

    replies: tuple[ScriptedReply, ...] = (ScriptedReply(text="You said: {heard}"),)
    transcripts: tuple[str, ...] = ("Hello there.",)
    translations: tuple[str, ...] = ("Good day.",)
    word_ms: int = 240
    places: int = 1000
    context_tokens: int = 32_768
    max_output_tokens: int = 4096
    duplex: bool = False


def read_script(path: Path) -> Script:
    """The script in a TOML file. Raises `ConfigFault`."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Script)
    except (OSError, msgspec.MsgspecError) as fault:
        raise ConfigFault(f"the script {path} cannot be used: {fault}") from fault


def tone(ms: int) -> bytes:
    """A sine of `ms` milliseconds."""
    step = 2 * math.pi * TONE_HZ / audio.RATE_HZ
    wave = (round(TONE_AMPLITUDE * math.sin(step * n)) for n in range(audio.samples_of_ms(ms)))
    return array.array("h", wave).tobytes()


class ScriptedEngine:
    """Satisfies `Engine`."""

    duplex = False

    def __init__(self, script: Script) -> None:
        self.traits = Traits(
            duplex=self.duplex,
            reads_images=True,  # takes them, so that clients can be tested
            voices=("tone",),
            context_tokens=script.context_tokens,
            max_output_tokens=script.max_output_tokens,
        )
        self.script = script
        self.tone = tone(script.word_ms)
        self.open_talks = 0
        self.heard: dict[str, str] = {}
        """Transcript of each sound of the open talks, by `media_id`."""

    async def open(self, ask: Ask) -> Talk:
        if self.open_talks >= self.script.places:
            raise EngineBusy(f"all {self.script.places} places of the scripted engine are taken")
        self.open_talks += 1
        return self.talk()

    def talk(self) -> Talk:
        """One more conversation."""
        return ScriptedTalk(self)

    async def aclose(self) -> None:
        """Nothing to free."""


class ScriptedTalk:
    """Satisfies `Talk`: keeps the history it is told and answers from the script."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self._engine = engine
        self._open = True
        self._spoken: list[str] = []
        self._window = Window()
        self._read: list[str] = []
        self.history: list[Item] = []
        self.expected: Item | None = None

    def configure(self, ask: Ask) -> None:
        """Nothing to prefill."""

    async def admit(self, ask: Ask) -> None:
        """See `Talk.admit`: each word is a token."""
        self._read_context(msgspec.structs.replace(ask, context=(), keep=False))

    def expect(self, item: Item | None) -> None:
        self.expected = item

    def put(self, item: Item, after: str | None = None) -> None:
        ids = [known.id for known in self.history]
        index = len(ids) if after is None else ids.index(after) + 1 if after else 0
        self.history.insert(index, self._hear(item))

    def _hear(self, item: Item) -> Item:
        if item.role != "user":
            return item
        return msgspec.structs.replace(item, parts=tuple(map(self._heard, item.parts)))

    def _heard(self, part: Part) -> Part:
        if not (part.pcm or b"").strip(b"\0"):
            return part
        transcripts = self._engine.script.transcripts
        text = transcripts[len(self._spoken) % len(transcripts)] if transcripts else ""
        self._spoken.append(part.media_id)
        self._engine.heard[part.media_id] = text
        return Part(text=text)

    def drop(self, item_id: str) -> None:
        self._window.forget(item_id)
        self.history = [item for item in self.history if item.id != item_id]

    def cut(self, item_id: str, end_ms: int, text: str) -> None:
        self.history = [
            msgspec.structs.replace(
                item, parts=(msgspec.structs.replace(item.parts[0], text=text),)
            )
            if item.id == item_id and item.parts
            else item
            for item in self.history
        ]

    async def reply(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
        answer = self._answer(ask)
        reply = answer.script
        yield answer.began
        await asyncio.sleep(reply.first_delay_ms / 1000)
        position = 0
        pace = _Pace(reply.frame_ms)
        for count, word in enumerate(answer.words):
            if count:
                await asyncio.sleep(reply.word_delay_ms / 1000)
            text = f" {word}" if count else word
            position += len(text)
            if not ask.speak:
                yield Say(text, tokens=1)
                continue
            for index, frame in enumerate(pace.frames(self._engine.tone)):
                await pace.next()
                yield Say("", frame, position) if index else Say(text, frame, position, tokens=1)
        if reply.fail:
            raise EngineFault(reply.fail)
        for index, call in enumerate(answer.calls):
            yield Call(index, name=call.name, delta=call.arguments, tokens=1)
            yield Call(index, final=True)
        yield Done(reason="completed" if answer.is_whole else "length")

    def _answer(self, ask: Ask) -> "Answer":
        """What the script says to the history of now."""
        context, began = self._read_context(ask)
        heard = _last_text(context)
        reply = next((r for r in self._engine.script.replies if r.when in heard), ScriptedReply())
        words = reply.text.replace("{heard}", heard).split()
        if ask.tool_choice not in ("auto", "none"):
            words = []
        limit = ask.max_tokens or self._engine.traits.max_output_tokens
        is_whole = len(words) <= limit
        return Answer(began, reply, words[:limit], _calls(reply, ask) if is_whole else (), is_whole)

    def _read_context(self, ask: Ask) -> tuple[Sequence[Item], Began]:
        """What the reply answers, and what reading it costs: the beginning may be known."""
        limit = ask.max_tokens or self._engine.traits.max_output_tokens
        head = [*ask.instructions.split(), *(tool.name for tool in ask.tools)]
        room = self._engine.traits.context_tokens - len(head) - limit
        keeps = ask.keep and ask.context is None
        window = self._window if keeps else Window() if ask.context else self._window.copy()
        items = self.history if ask.context is None else list(ask.context)
        context = window.fit(items, room, ask.truncation, lambda item: len(_words(item)))
        words = [*head, *(word for item in context for word in _words(item))]
        known = len(os.path.commonprefix([self._read, words])) if keeps else 0
        if keeps:
            self._read = words
        return context, Began({"text": len(words)}, {"text": known})

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._engine.open_talks -= 1
            for media_id in self._spoken:
                del self._engine.heard[media_id]


class Answer(msgspec.Struct, frozen=True):
    """One reply of the script, made out: `words` and `calls` as the ask allows them."""

    began: Began
    script: ScriptedReply
    words: Sequence[str]
    calls: Sequence[ScriptedCall]
    is_whole: bool
    """Whether the ask's limit allows all of it."""


class _Pace:
    """Frames of `frame_ms` in real time; 0 is all of it at once."""

    def __init__(self, frame_ms: int) -> None:
        self._frame_ms = frame_ms
        self._loop = asyncio.get_running_loop()
        self._due_s = self._loop.time()

    def frames(self, pcm: bytes) -> Iterable[bytes]:
        return audio.chunks(pcm, self._frame_ms * audio.BYTES_PER_MS) if self._frame_ms else (pcm,)

    async def next(self) -> None:
        """Wait until the next frame is due, on a clock that does not drift."""
        if not self._frame_ms:
            return
        if self._due_s > self._loop.time():
            # Not `asyncio.sleep`, which asks for the loop: a system call before Python 3.12.
            due = self._loop.create_future()
            timer = self._loop.call_at(self._due_s, _ring, due)
            try:
                await due
            finally:
                timer.cancel()
        else:
            await asyncio.sleep(0)
        self._due_s += self._frame_ms / 1000


def _ring(due: asyncio.Future[None]) -> None:
    if not due.done():
        due.set_result(None)


def _calls(reply: ScriptedReply, ask: Ask) -> Sequence[ScriptedCall]:
    offered = {tool.name for tool in ask.tools}
    if ask.tool_choice == "none":
        return ()
    calls = [call for call in reply.calls if call.name in offered]
    forced = ask.tool_choice.removeprefix("function:")
    if forced in offered:
        calls = [call for call in calls if call.name == forced] or [ScriptedCall(forced)]
    elif ask.tool_choice == "required" and not calls and ask.tools:
        calls = [ScriptedCall(ask.tools[0].name)]
    return calls if ask.parallel_calls else calls[:1]


def _text(item: Item) -> str:
    return " ".join(part.text for part in item.parts if part.text)


def _words(item: Item) -> list[str]:
    return [item.call.name, *item.call.arguments.split()] if item.call else _text(item).split()


def _last_text(context: Sequence[Item]) -> str:
    spoken = (_text(item) for item in reversed(context) if item.role in ("user", "result"))
    return next(spoken, "")


class ScriptedTranscriber:
    """Satisfies `Transcriber`: what the engine heard, which is the script's transcripts in turn.

    Where no engine hears (a transcription session) they are handed out in turn here. Of sound
    that still grows it has heard a word for every `word_ms`. Every token is as likely as not.
    """

    def __init__(self, engine: ScriptedEngine, *, is_open: bool = False) -> None:
        self._engine = engine
        self.models = TranscriptionModels(is_open=is_open)
        self._count = 0

    async def transcribe(
        self, media_id: str, pcm: bytes, ask: TranscriptionAsk
    ) -> AsyncIterator[TranscriptPart | Transcript]:
        seconds = audio.samples(pcm) / audio.RATE_HZ
        if media_id in self._engine.heard:
            text = self._engine.heard[media_id]
        else:
            transcripts = self._engine.script.transcripts
            text = transcripts[self._count % len(transcripts)] if transcripts else ""
            self._count += not ask.partial
        if pcm.count(0) == len(pcm):
            text = ""
        if ask.partial:
            text = " ".join(text.split()[: int(seconds * 1000 / self._engine.script.word_ms)])
        if not text.startswith(ask.prefix):
            text = ask.prefix
        logprobs = None
        if ask.logprobs:
            tokens = text.replace(" ", "\0 ").split("\0") if text else []
            logprobs = tuple(
                LogProb(token=token, logprob=math.log(0.5), bytes=tuple(token.encode()))
                for token in tokens
            )
        yield Transcript(text, seconds, ask.language, logprobs)


class ScriptedTranslator:
    """Satisfies `Translator`: the script's translations in turn, voiced as a tone."""

    languages: tuple[str, ...] = ("en",)

    def __init__(self, engine: ScriptedEngine) -> None:
        self._engine = engine
        self._count = 0

    async def translate(self, pcm: bytes, ask: TranslationAsk) -> AsyncIterator[ReplyEvent]:
        translations = self._engine.script.translations
        text = translations[self._count % len(translations)] if translations else ""
        self._count += 1
        position = 0
        for count, word in enumerate(text.split()):
            said = f" {word}" if count else word
            position += len(said)
            yield Say(said, self._engine.tone, position)
        yield Done()


class LoudnessActivity:
    """Satisfies `VoiceActivity`: a window is speech when it is loud."""

    THRESHOLD = 500
    """Mean absolute sample value that counts as speech."""

    def open(self) -> ActivityStream:
        return _LoudnessStream()

    async def aclose(self) -> None:
        """Nothing to free."""


class _LoudnessStream:
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def score(self, windows: Sequence[bytes]) -> asyncio.Future[list[float]]:
        scores = self._loop.create_future()
        scores.set_result([_speech(window) for window in windows])
        return scores

    def close(self) -> None:
        """Nothing kept."""


class LoudnessTurnEnd:
    """Satisfies `TurnEnd`, and is a fake: a turn is complete when enough of it was loud.

    It understands nothing. A client's tests get an "unfinished" turn from less than
    `COMPLETE_MS` of sound and a "finished" one from more.
    """

    COMPLETE_MS = 300
    """Loud sound in the last eight seconds that makes a turn complete."""

    async def score(self, pcm: bytes) -> float:
        # One sample in 10 ms tells loud from quiet; this runs on the event loop.
        end = pcm[-8000 * audio.BYTES_PER_MS :]
        some = memoryview(end)[: len(end) // 2 * 2].cast("h")[:: audio.samples_of_ms(10)].tolist()
        loud_ms = 10 * sum(abs(sample) >= LoudnessActivity.THRESHOLD for sample in some)
        return float(loud_ms >= self.COMPLETE_MS)

    async def aclose(self) -> None:
        """Nothing to free."""


def _speech(window: bytes) -> float:
    return float(audio.loudness(window) >= LoudnessActivity.THRESHOLD)
