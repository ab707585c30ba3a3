"""Where speech may be cut."""

import numpy as np

from duologue.hearing.pauses import WINDOW, longest_pause, quiet_place, voice


def test_thelongest_pause_lies_between_two_stretches_of_voice() -> None:
    def pause(pattern: str) -> int:
        return longest_pause(np.array([c == "v" for c in pattern]))

    voice = "v" * 10
    assert pause(voice + "____" + voice) == 12 * WINDOW
    assert pause(f"___{voice}____{voice}______{voice}___") == 30 * WINDOW
    assert pause(voice + "___" + voice) == 0, "too short to be one between sentences"
    assert pause("vvv______" + voice) == 0, "too little voice before it"
    assert pause("____") == pause(voice) == pause("") == 0


def test_voice_is_told_from_pauses_by_the_loudness_of_the_rest() -> None:
    sound = np.full(WINDOW * 40, 0.2, np.float32)
    sound[WINDOW * 10 : WINDOW * 16] = 0.01
    is_voice = voice(sound)
    assert is_voice.sum() == 34 and not is_voice[10:16].any()
    assert longest_pause(is_voice) == quiet_place(sound) + WINDOW * 5 // 2
