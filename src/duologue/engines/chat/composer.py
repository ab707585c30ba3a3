"""One reply put together: pieces of the upstream's stream in, reply events out, in order.

Text that runs ahead of its sound is held until the first sound, so that until then the reply
can be asked of another upstream and nobody notices. Calls wait for the end of what is being
said, since their message would cut it in two. The last few milliseconds of sound are held
back until more comes, so that at the end of the reply all its words count as voiced. The
protocol of these servers knows no `speed`, so another than 1 is made here.
"""

import asyncio
from collections.abc import Iterator
from typing import Literal

from duologue.arguments import is_object
from duologue.audio import pcm as audio
from duologue.audio.tempo import Tempo
from duologue.core.talk import Ask, Began, Call, Done, ReplyEvent, Say
from duologue.engines.calls import UNCALLED, is_required, is_wanted
from duologue.engines.chat.chunk import CallPiece, Piece, Tokens, parse
from duologue.engines.chat.faults import UpstreamFault, nonsense
from duologue.engines.chat.sound import SoundReader, spoken_samples
from duologue.engines.chat.sse import DONE
from duologue.engines.pace import Pace, Voiced
from duologue.engines.sizes import text_tokens

HELD_BYTES = 10 * audio.BYTES_PER_MS
REASONS: dict[str, Literal["length", "filtered"]] = {
    "length": "length",
    "content_filter": "filtered",
}
GIVEN_UP = ("abort", "error", "cancelled", "canceled")
"""What servers call the end of an answer that they did not bring to its end (vLLM, SGLang)."""

OFF_BY = 4
"""An upstream may count so many times the tokens that our estimate of the window admits: other
models have more for a second of sound, an image or a character. More is no count but a fault."""

MOST_PASSED = 64
"""Calls that are passed over and of which more may come yet."""

LARGE_BYTES = 8 * 1024
"""Events from here on are read in a thread: 100 us and more."""


class _ToolCall:
    """A call as far as it has come."""

    def __init__(self, piece: CallPiece) -> None:
        self.index, self.id = piece.index, piece.id
        self.name = ""
        self.arguments = ""
        self.told = 0
        self.is_passed = False
        """Whether it is one that was not to be made."""


class Composer:
    """Makes the events of one reply; `counted` is our own estimate of what it reads.

    `window_tokens` is what the model can hold, by the same estimate.
    """

    def __init__(self, ask: Ask, counted: dict[str, int], pace: Pace, window_tokens: int) -> None:
        self._ask = ask
        self._counted = counted
        self._most_tokens = OFF_BY * window_tokens
        self.got_on = False
        """Whether the newest event of the stream said something."""
        self.unbelieved: Tokens | None = None
        """A count of the upstream's that cannot be, if there was one: our own stands for it."""
        self._sounds = SoundReader()
        self._tempo: Tempo | None = None
        self._voiced = Voiced(pace)
        self._held_text = ""
        self._held_pcm = b""
        self._has_sound = False
        self._takes_transcript: bool | None = None
        self._calls: list[_ToolCall] = []
        """All that it made, and of those that are passed over the newest."""
        self._finish: str | None = None
        self._tokens: Tokens | None = None
        self._tokens_told = 0
        self._tokens_made = 0
        self._stages: dict[str, float] = {}

    @property
    def is_finished(self) -> bool:
        """Whether the upstream has said why it stopped."""
        return self._finish is not None

    async def take(self, data: bytes) -> list[ReplyEvent]:
        """The events that one event of the stream gives. Raises `EngineFault`."""
        if data == DONE:
            # Some servers send no reason beside what they said; a mark alone is no answer.
            is_answer = bool(self._voiced.text or self._calls or self._has_sound)
            self._finish = self._finish or ("stop" if is_answer else None)
            return []
        if len(data) < LARGE_BYTES and self._ask.speed == 1:
            piece, pcm, spoken = self._read(data)
        else:
            piece, pcm, spoken = await asyncio.to_thread(self._read, data)
        if not self._stages and (piece.text or piece.transcript or piece.calls):
            self._stages["first_token"] = asyncio.get_running_loop().time()
        self.got_on = piece.says_something or bool(piece.finish and not self._finish)
        self._note(piece)
        return [*self._say(self._text(piece), pcm, spoken), *self._call(piece.calls)]

    async def end(self) -> list[ReplyEvent]:
        """The events at the end of the stream. Raises `EngineFault`."""
        if self._finish in GIVEN_UP:
            raise nonsense(f"gave up in the middle (finish_reason {self._finish!r})")
        # Where a limit ended it, a call may have been cut off, and is no fault.
        is_whole = self._finish not in REASONS
        if is_whole:
            self._check_whole()
        pcm = self._held_pcm + await self._last_sound()
        events: list[ReplyEvent] = []
        has_sound = self._has_sound or bool(pcm)
        if self._ask.speak and self._voiced.text and not has_sound and not self._wanted:
            raise UpstreamFault("The upstream model server sent words without sound.")
        if self._held_text or pcm:
            # Its sound, too, may have stopped in the middle of the words.
            voiced = self._voiced.end() if is_whole else self._voiced.sound(0.0)
            events.append(self._counted_say(self._held_text, pcm, voiced))
        for number, call in enumerate(self._wanted):
            is_final = bool(call.name) and is_object(call.arguments)
            if is_final or call.told:
                events += self._told(number, call)
            if is_final:
                events.append(Call(number, final=True))
        return [*events, *self._closing()]

    def _read(self, data: bytes) -> tuple[Piece, bytes, float]:
        piece = parse(data)
        if not piece.sound or not self._ask.speak:
            return piece, b"", 0.0
        pcm = b"".join(self._sounds.read(sound, piece.rate_hz) for sound in piece.sound)
        if self._ask.speed != 1:
            self._tempo = self._tempo or Tempo(self._ask.speed)
            pcm = self._tempo.push(pcm)
        # A voice has one pace; how fast it is played is not part of it.
        return piece, pcm, spoken_samples(pcm) / audio.RATE_HZ * self._ask.speed

    async def _last_sound(self) -> bytes:
        last, tempo = self._sounds.flush(), self._tempo
        if tempo is None:
            return last
        return await asyncio.to_thread(lambda: tempo.push(last) + tempo.flush())

    def _note(self, piece: Piece) -> None:
        if piece.finish:
            self._finish = piece.finish
        if piece.tokens and (piece.is_last_count or piece.tokens.completion):
            if self._can_be(piece.tokens):
                self._tokens = piece.tokens
            else:
                self._tokens, self.unbelieved = None, piece.tokens

    def _can_be(self, tokens: Tokens) -> bool:
        """Whether so much can have been read and written: a client pays for it by its limits."""
        most = self._most_tokens
        allowed = most if self._ask.max_tokens is None else self._ask.max_tokens
        is_within = tokens.prompt <= most and tokens.completion <= most
        return is_within and tokens.completion - tokens.audio_out <= allowed

    def _text(self, piece: Piece) -> str:
        """Of two texts that say the same the one that came first is taken throughout."""
        if self._takes_transcript is None and (piece.text or piece.transcript):
            self._takes_transcript = not piece.text
        return piece.transcript if self._takes_transcript else piece.text

    def _say(self, text: str, pcm: bytes, spoken_s: float) -> Iterator[ReplyEvent]:
        if text:
            self._voiced.say(text)
            self._count(text)
        if not self._ask.speak:
            if text:
                yield self._counted_say(text, b"", 0)
            return
        self._held_text += text
        if pcm:
            self._has_sound = True
            voiced = self._voiced.sound(spoken_s)
            ready = self._held_pcm + pcm
            self._held_pcm = ready[-HELD_BYTES:]
            ready = ready[:-HELD_BYTES]
            if ready:
                text, self._held_text = self._held_text, ""
                yield self._counted_say(text, ready, voiced)
        elif text and self._has_sound:
            text, self._held_text = self._held_text, ""
            yield self._counted_say(text, b"", 0)

    def _count(self, text: str) -> None:
        """Our estimate; more than was allowed cannot have been made."""
        made = self._tokens_made + text_tokens(text)
        self._tokens_made = (
            made if self._ask.max_tokens is None else min(made, self._ask.max_tokens)
        )

    def _counted_say(self, text: str, pcm: bytes, voiced: int) -> Say:
        tokens, self._tokens_told = self._tokens_made - self._tokens_told, self._tokens_made
        return Say(text, pcm, voiced, tokens)

    def _call(self, pieces: tuple[CallPiece, ...]) -> Iterator[ReplyEvent]:
        for piece in pieces:
            call = self._call_of(piece)
            self._count(piece.name + piece.arguments)
            if piece.name and not call.name:
                call.name = piece.name
                self._judge(call)
            if call.is_passed:
                continue
            call.arguments += piece.arguments
            first = next(other for other in self._calls if not other.is_passed)
            is_first = call is first and not self._voiced.text
            if is_first and call.name and call.arguments.strip():
                yield from self._told(0, call)

    def _call_of(self, piece: CallPiece) -> _ToolCall:
        """The call that a piece belongs to, the newest that it may."""
        for call in reversed(self._calls):
            if piece.index is not None and not piece.name:
                is_same = piece.index == call.index  # though older servers give it a new id
            elif piece.index is not None or piece.id is not None:
                is_same = piece.index == call.index and (not piece.id or piece.id == call.id)
            else:
                is_same = not (piece.name and call.name)
            if is_same:
                return call
        call = _ToolCall(piece)
        self._calls.append(call)
        return call

    @property
    def _wanted(self) -> list[_ToolCall]:
        return [call for call in self._calls if not call.is_passed]

    def _judge(self, call: _ToolCall) -> None:
        """Whether a call that has its name, or will have none, is one to make."""
        before = len([other for other in self._wanted if other is not call])
        try:
            call.is_passed = not is_wanted(self._ask, call.name, before)
        except ValueError as fault:
            raise nonsense(f"answered with {fault}") from None
        if call.is_passed:  # a model may loop in them
            passed = [other for other in self._calls if other.is_passed]
            for other in passed[:-MOST_PASSED]:
                self._calls.remove(other)

    def _told(self, number: int, call: _ToolCall) -> Iterator[ReplyEvent]:
        delta = call.arguments[call.told :]
        if delta or not call.told:
            name = call.name if not call.told else ""
            call.told = len(call.arguments)
            tokens, self._tokens_told = self._tokens_made - self._tokens_told, self._tokens_made
            yield Call(number, name, delta, tokens=tokens)

    def _check_whole(self) -> None:
        """What is to be found in an answer that came to its end."""
        for call in self._wanted:
            if not call.name:
                self._judge(call)
        if not self._wanted and is_required(self._ask):
            raise nonsense(UNCALLED)
        for call in self._wanted:
            call.arguments = call.arguments if call.arguments.strip() else "{}"
            if not is_object(call.arguments):
                raise nonsense(f"called {call.name} with arguments that are not a JSON object")

    def _closing(self) -> Iterator[ReplyEvent]:
        """What it really cost, where the upstream says so, and why it ended."""
        if self._tokens is not None:
            yield began(self._tokens, self._counted)
            self._tokens_made = max(
                self._tokens_told, self._tokens.completion - self._tokens.audio_out
            )
        reason: Literal["completed", "length", "filtered"] = "completed"
        reason = REASONS.get(self._finish or "", reason)
        rest = self._tokens_made - self._tokens_told
        yield Done(reason, tokens=rest, stages=dict(self._stages))


def began(tokens: Tokens, counted: dict[str, int]) -> Began:
    """The upstream's count of what it read, split by modality as it says, or as we counted."""
    left = tokens.prompt
    split: dict[str, int] = {}
    for modality, told in (("audio", tokens.audio_in), ("image", tokens.image_in)):
        split[modality] = min(left, counted.get(modality, 0) if told is None else told)
        left -= split[modality]
    cached_text = min(left, tokens.cached)
    cached = {"text": cached_text, "audio": min(split["audio"], tokens.cached - cached_text)}
    return Began({"text": left, **split}, cached)
