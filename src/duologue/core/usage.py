"""What a response has used, counted while it runs: engine events in, the wire's usage out.

Input comes from the engine (`Began`), which alone knows its tokenizer; text generated is what
its events say they cost; sound is counted here, at the protocol's rate. So a response that is
cancelled or fails has a true usage at once, without asking the engine again. The sums of
reference section 6 hold by construction, whatever an engine says, and nothing counts more than
can be: an engine, which may believe an upstream, would else lock its client's key out.

The limit of a response (`max_output_tokens`) is on what is counted here, text and sound together,
so no usage is ever above it: what does not fit is not counted, and must not be sent.
"""

from duologue.audio import pcm as audio
from duologue.core.talk import Began, Call, Counts, Done, Say
from duologue.events import CachedTokensDetails, InputTokenDetails, OutputTokenDetails, Usage

OUTPUT_AUDIO_TOKEN_MS = 50
"""The assistant's sound that one token stands for (reference, section 6)."""

OUTPUT_AUDIO_TOKEN_SAMPLES = audio.samples_of_ms(OUTPUT_AUDIO_TOKEN_MS)

MOST_WINDOWS = 16
"""Windows of the model that one response may read, and write: one that delegates reads it again
for each question and aside, and so does the model that is asked."""


class UsageCount:
    """The running count of one response of an engine whose window is `context_tokens`.

    `limit` is the most output tokens that it may use.
    """

    def __init__(self, limit: int | None, context_tokens: int) -> None:
        self._limit = limit
        self._most = MOST_WINDOWS * context_tokens
        self._input: Counts = {}
        self._cached: Counts = {}
        self._text_tokens = 0
        self.samples = 0
        """Of the sound that was sent to the client."""

    def take(self, event: Began | Say | Call | Done) -> bool:
        """Count an event of the engine; False when that is more than the limit leaves room for."""
        if isinstance(event, Began):
            self._input, self._cached = event.input, event.cached
            return True
        tokens, fits = max(0, event.tokens), True
        if self._limit is not None:
            room = self._limit - self._text_tokens - self._audio_tokens
            fits, tokens = tokens <= room, min(tokens, room)
        self._text_tokens = min(self._most, self._text_tokens + tokens)
        return fits

    def send(self, pcm: bytes) -> bytes:
        """Count sound that is about to be sent; returns what of it may be: the limit may end it."""
        if self._limit is not None:
            most = (self._limit - self._text_tokens) * OUTPUT_AUDIO_TOKEN_SAMPLES - self.samples
            pcm = pcm[: most * audio.SAMPLE_BYTES]
        self.samples += audio.samples(pcm)
        return pcm

    def usage(self) -> Usage:
        """The usage object of what was counted so far."""
        text, sound, image = self._read()
        cached = CachedTokensDetails(
            text_tokens=self._cached_of("text", text),
            audio_tokens=self._cached_of("audio", sound),
            image_tokens=self._cached_of("image", image),
        )
        output = OutputTokenDetails(
            text_tokens=self._text_tokens,
            audio_tokens=self._audio_tokens,
        )
        tokens_in = text + sound + image
        tokens_out = output.text_tokens + output.audio_tokens
        return Usage(
            total_tokens=tokens_in + tokens_out,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            input_token_details=InputTokenDetails(
                text_tokens=text,
                audio_tokens=sound,
                image_tokens=image,
                cached_tokens=cached.text_tokens + cached.audio_tokens + cached.image_tokens,
                cached_tokens_details=cached,
            ),
            output_token_details=output,
        )

    @property
    def _audio_tokens(self) -> int:
        return -(-self.samples // OUTPUT_AUDIO_TOKEN_SAMPLES)

    def _read(self) -> list[int]:
        """Input by modality, all of it within what can be."""
        left, counts = self._most, []
        for modality in ("text", "audio", "image"):
            counts.append(max(0, min(self._input.get(modality, 0), left)))
            left -= counts[-1]
        return counts

    def _cached_of(self, modality: str, most: int) -> int:
        return max(0, min(self._cached.get(modality, 0), most))
