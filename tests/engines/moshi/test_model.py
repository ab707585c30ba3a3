"""The real Moshi and Mimi with random weights: frame by frame is what all at once would be."""

from typing import Any

import numpy as np
import pytest

from random_weights import skip_module_without_torch

skip_module_without_torch()

import torch  # noqa: E402

from duologue.engines.moshi.codec import Decoder, Encoder  # noqa: E402
from duologue.engines.moshi.frames import FRAME_BYTES, SILENCE, Spoken  # noqa: E402
from duologue.engines.moshi.language import Language, Sampling  # noqa: E402
from duologue.engines.moshi.model import MoshiFrames  # noqa: E402

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
GREEDY = Sampling(text_temperature=0, audio_temperature=0)
FRAMES = 100
"""More than the window of 40, so that every ring goes round twice."""
SAMPLES = FRAME_BYTES // 2


def noise(count: int, seed: int) -> list[bytes]:
    """Frames of sound of changing loudness."""
    draw = np.random.default_rng(seed)
    loud = draw.uniform(0, 8000, size=(count, 1))
    frames = draw.normal(size=(count, SAMPLES)) * loud
    return [frame.clip(-32768, 32767).astype("<i2").tobytes() for frame in frames]


def sound(frames: list[bytes]) -> Any:
    return torch.from_numpy(np.frombuffer(b"".join(frames), "<i2") / np.float32(32768))


def test_sound_encoded_in_frames_has_the_codes_of_the_whole(weights: Any) -> None:
    mimi, line = weights.moshi.audio_encoder, sound(noise(FRAMES, 1))
    with torch.inference_mode():
        whole = mimi.encode(line[None, None], num_quantizers=8)[0][0]
        encoder = Encoder(mimi, 8, 3, CPU)
        frames = line.reshape(FRAMES, 1, SAMPLES).expand(-1, 3, -1)
        codes = torch.stack([encoder.step(frame, [1])[1] for frame in frames], dim=1)
    assert torch.equal(codes, whole)
    assert len(codes.unique()) > 30


def test_codes_decoded_in_frames_sound_as_the_whole(weights: Any) -> None:
    mimi = weights.moshi.audio_encoder
    codes = torch.randint(64, (8, FRAMES), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        whole = mimi.decode(codes[None])[0][0, 0]
        decoder = Decoder(mimi, 2, CPU)
        frames = [decoder.step(codes[:, k].expand(2, -1), [0])[0] for k in range(FRAMES)]
    assert torch.allclose(torch.cat(frames), whole, atol=1e-5)
    assert whole.std() > 0.01


def test_language_steps_are_those_of_the_whole_conversation_in_one_pass(weights: Any) -> None:
    """Both transformers, the rings, and the delays, against transformers' own forward."""
    moshi = weights.moshi
    none_text, none = moshi.config.vocab_size, moshi.config.audio_vocab_size
    heard = torch.randint(64, (FRAMES, 8), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        language = Language(moshi, 2, CPU, GREEDY)
        steps = [language.step(codes.expand(2, -1), [1]) for codes in heard]
        text = torch.stack([before[1] for before, _ in steps])[1:]
        whole = torch.stack([codes[1] for _, codes in steps])
        # What step t wrote: its semantic code comes out one step later than the acoustic ones.
        said = torch.cat([whole[1:, :1], whole[:-1, 1:]], dim=1)
        count = len(said)

        texts = torch.cat([torch.tensor([none_text]), text[:-1]])
        own, user = torch.full((8, count), none), torch.full((8, count), none)
        own[0, 1:], own[1:, 2:] = said[:-1, 0], said[1:-1, 1:].T
        user[0, 1:], user[1:, 2:] = heard[1:count, 0], heard[1 : count - 1, 1:].T
        place = torch.arange(count)
        past = place[:, None] - place
        window = (past >= 0) & (past < moshi.config.sliding_window)
        out = moshi(
            input_ids=texts[None],
            moshi_audio_codes=own[None],
            user_audio_codes=user[None],
            attention_mask=window[None, None],
        )
        depth = moshi.depth_decoder(
            input_ids=torch.cat([text[:, None], said[:, :-1]], dim=1),
            last_hidden_state=out.last_hidden_state.reshape(count, 1, -1),
        )
    assert torch.equal(out.logits[0].argmax(-1), text)
    assert torch.equal(depth.logits.argmax(-1), said)
    assert len(text.unique()) > 5
    assert len(said.unique()) > 20


def test_tokens_are_drawn_as_likely_as_the_model_finds_them(weights: Any) -> None:
    language = Language(weights.moshi, 1, CPU, Sampling(text_temperature=0.5, text_top=3))
    logits = torch.tensor([[0.0, 1.0, 0.5, 0.9, -3.0]]).expand(40_000, -1)
    draws = torch.Generator().manual_seed(4)
    tokens = language._draw(logits, torch.empty(40_000, 3).exponential_(generator=draws), 0.5)
    shares = torch.bincount(tokens, minlength=5) / 40_000
    wanted = (torch.tensor([1.0, 0.9, 0.5]) / 0.5).softmax(-1)
    assert torch.allclose(shares[[1, 3, 2]], wanted, atol=0.01)
    assert shares[0] == shares[4] == 0


@pytest.fixture(scope="module")
def alone(weights: Any) -> list[Spoken]:
    """What a conversation says that has the model to itself."""
    model = MoshiFrames(weights, 4)
    model.reset(0, seed=11)
    return [model.step({0: frame})[0] for frame in noise(FRAMES, 5)]


def test_a_conversation_says_words_and_sound(alone: list[Spoken]) -> None:
    assert alone[0] == Spoken(None, SILENCE)
    assert all(spoken.token is not None and len(spoken.pcm) == FRAME_BYTES for spoken in alone[1:])
    assert len({spoken.token for spoken in alone}) > 10
    assert np.frombuffer(b"".join(spoken.pcm for spoken in alone), "<i2").std() > 100


def test_a_conversation_is_the_same_to_the_bit_whoever_else_talks(
    weights: Any, alone: list[Spoken]
) -> None:
    """Others come, go, miss frames and take each other's places all the while."""
    model, others = MoshiFrames(weights, 4), noise(3 * FRAMES, 6)
    model.reset(2, seed=11)
    said = []
    for count, frame in enumerate(noise(FRAMES, 5)):
        heard = {2: frame}
        if count % 30 == 10:
            model.reset(0, seed=count)
        if count > 10:
            heard[0] = others[count]
        if count % 3 == 0:
            heard[1] = others[FRAMES + count]
        if count > 50:
            heard[3] = others[2 * FRAMES + count]
        said.append(model.step(heard)[2])
        if count % 7 == 0:
            model.step({0: others[-count], 3: SILENCE})  # a step that it has no part in
    assert said == alone


def test_a_place_that_is_made_new_remembers_nothing(weights: Any, alone: list[Spoken]) -> None:
    model = MoshiFrames(weights, 4)
    model.reset(0, seed=1)
    for frame in noise(60, 7):
        model.step({0: frame, 1: frame})
    model.reset(0, seed=11)
    frames = noise(FRAMES, 5)[:50]
    assert [model.step({0: frame})[0] for frame in frames] == alone[:50]


def test_an_idle_place_stays_exactly_as_it_is(weights: Any) -> None:
    model = MoshiFrames(weights, 3)
    for frame in noise(50, 8):
        model.step({0: frame, 1: frame})
    before = state(model, 0)
    for frame in noise(50, 9):
        model.step({1: frame})
    after = state(model, 0)
    assert len(before) > 40
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def state(model: MoshiFrames, slot: int) -> list[Any]:
    """All tensors with a row for each place, of everything that the model keeps."""
    found: list[Any] = []
    seen: set[int] = set()

    def look(thing: Any) -> None:
        if id(thing) in seen or isinstance(thing, torch.nn.Module):
            return
        seen.add(id(thing))
        if isinstance(thing, torch.Tensor):
            if thing.ndim and thing.shape[0] == model.slots:
                found.append(thing[slot].clone())
        elif isinstance(thing, dict | list | tuple):
            for part in thing.values() if isinstance(thing, dict) else thing:
                look(part)
        elif type(thing).__module__.startswith("duologue") and hasattr(thing, "__dict__"):
            for name, part in vars(thing).items():
                if name not in ("_steps", "_rows", "_places"):  # of this step, not kept
                    look(part)

    look(model)
    return found


def test_the_seed_is_what_a_conversation_draws_from(weights: Any, alone: list[Spoken]) -> None:
    model = MoshiFrames(weights, 4)
    model.reset(0, seed=12)
    frames = noise(FRAMES, 5)[:20]
    assert [model.step({0: frame})[0] for frame in frames] != alone[:20]


def test_what_is_kept_does_not_grow(weights: Any) -> None:
    model = MoshiFrames(weights, 1)
    model.step({0: SILENCE})
    sizes = [part.numel() for part in state(model, 0)]
    for frame in noise(60, 10):
        model.step({0: frame})
    assert [part.numel() for part in state(model, 0)] == sizes
