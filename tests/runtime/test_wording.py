"""Whatever part of the engine says it, it is text before the core keeps it."""

import msgspec
import pytest

from duologue.core import inputs
from duologue.core.talk import Call, Done, Heard, Say, Transcript
from duologue.runtime.wording import as_text

HALF, SIGN = "oh \ud83d", "oh \ufffd"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (inputs.LiveEvent("j", Heard(HALF)), inputs.LiveEvent("j", Heard(SIGN))),
        (inputs.LiveEvent("j", Say(HALF, b"ab")), inputs.LiveEvent("j", Say(SIGN, b"ab"))),
        (inputs.ReplyEvent("j", Call(0, HALF)), inputs.ReplyEvent("j", Call(0, SIGN))),
        (inputs.LiveFailed("j", "c", HALF), inputs.LiveFailed("j", "c", SIGN)),
        (inputs.TranscribedPart("j", HALF), inputs.TranscribedPart("j", SIGN)),
        (inputs.TranscriptionFailed("j", HALF, ""), inputs.TranscriptionFailed("j", SIGN, "")),
        (
            inputs.Transcribed("j", Transcript(HALF, 1.0, HALF)),
            inputs.Transcribed("j", Transcript(SIGN, 1.0, SIGN)),
        ),
    ],
)
def test_half_a_surrogate_pair_becomes_a_sign(said: inputs.Input, kept: inputs.Input) -> None:
    assert as_text(said) == kept
    msgspec.json.encode(as_text(said))


@pytest.mark.parametrize(
    "entry",
    [
        inputs.ReplyEvent("j", Say("héllo 😀", b"ab", 3)),
        inputs.ReplyEvent("j", Done()),
        inputs.TranscribedPart("j", "fine"),
        inputs.TurnScored("j", 0.5),
    ],
)
def test_text_is_passed_on_as_it_is(entry: inputs.Input) -> None:
    assert as_text(entry) is entry
