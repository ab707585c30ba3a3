"""What a response has used, counted while it runs: engine events in, the wire's usage out.

Input comes from the engine (`Began`), which alone knows its tokenizer; text generated is what
its events say they cost; sound is counted here, at the protocol's rate. So a response that is
cancelled or fails has a true usage at once, without asking the engine again. The sums of
reference section 6 hold by construction, whatever an engine says.
"""

from duologue.audio import pcm as audio
from duologue.core.talk import Began, Call, Counts, Done, Say
from duologue.events import CachedTokensDetails, InputTokenDetails, OutputTokenDetails, Usage

OUTPUT_AUDIO_TOKEN_MS = 50
"""The assistant's sound that one token stands for (reference, section 6)."""


class UsageCount:
    """The running count of one response."""

    def __init__(self) -> None:
        self._input: Counts = {}
        self._cached: Counts = {}
        self._text_tokens = 0
        self._samples = 0

    def take(self, event: Began | Say | Call | Done) -> None:
        """Count an event of the engine."""
        if isinstance(event, Began):
            self._input, self._cached = event.input, event.cached
        else:
            self._text_tokens += max(0, event.tokens)

    def send(self, pcm: bytes) -> None:
        """Count sound that was sent to the client."""
        self._samples += audio.samples(pcm)

    def usage(self) -> Usage:
        """The usage object of what was counted so far."""
        text, sound, image = (max(0, self._input.get(m, 0)) for m in ("text", "audio", "image"))
        cached = CachedTokensDetails(
            text_tokens=self._cached_of("text", text),
            audio_tokens=self._cached_of("audio", sound),
            image_tokens=self._cached_of("image", image),
        )
        output = OutputTokenDetails(
            text_tokens=self._text_tokens,
            audio_tokens=-(-audio.ceil_ms_of_samples(self._samples) // OUTPUT_AUDIO_TOKEN_MS),
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

    def _cached_of(self, modality: str, most: int) -> int:
        return max(0, min(self._cached.get(modality, 0), most))
