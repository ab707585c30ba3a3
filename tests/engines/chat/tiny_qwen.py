"""Qwen2.5-Omni as transformers has it, with random weights: what it says means nothing.

The processor (features of sound, patches of images, placeholders), thinker, talker and vocoder
are the real code, built from small settings without fetching anything; the tokenizer has a
token for each byte and the model's special tokens. So it takes what the real model takes, and
refuses what that refuses. `python scripts/install_torch.py` brings what it needs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import pre_tokenizers
from transformers import Qwen2TokenizerFast, WhisperFeatureExtractor
from transformers.generation import StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniConfig
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
    Qwen2_5OmniForConditionalGeneration,
)
from transformers.models.qwen2_5_omni.processing_qwen2_5_omni import Qwen2_5OmniProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

RATE_HZ = 16_000
"""What the processor takes; it refuses other rates."""

OUT_RATE_HZ = 24_000
SPEAKER = "Chelsie"
HIDDEN = 64
CODES = 400
"""Codes of the talker that stand for sound; its special ones come behind."""

MEDIA = {
    "image_token": "<|IMAGE|>",
    "audio_token": "<|AUDIO|>",
    "video_token": "<|VIDEO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}
TEMPLATE = """
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else -%}
{%- for part in message.content -%}
{%- if part.type == "input_audio" -%}<|audio_bos|><|AUDIO|><|audio_eos|>
{%- elif part.type == "image_url" -%}<|vision_bos|><|IMAGE|><|vision_eos|>
{%- elif part.type == "text" -%}{{ part.text }}
{%- else -%}{{ raise_exception("no such part: " + part.type) }}{%- endif -%}
{%- endfor -%}
{%- endif -%}<|im_end|>
{% endfor -%}
<|im_start|>assistant{{ "\n" }}"""


class Stopped(Exception):
    """The reply is wanted no more."""


class Steps(StoppingCriteria):  # type: ignore[misc]
    """Counts the steps of one stage, telling each; with `stop` the next one raises `Stopped`."""

    def __init__(self) -> None:
        self.count = 0
        self.stop = False
        self.tell: Callable[[], object] = lambda: None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        self.count += 1
        self.tell()
        if self.stop:
            raise Stopped
        return torch.zeros(len(input_ids), dtype=torch.bool)


class _Letters(BaseStreamer):  # type: ignore[misc]
    """Hands on each token's text; the first call is the prompt."""

    def __init__(self, tokenizer: Any, say: Callable[[str], object]) -> None:
        self._tokenizer, self._say, self._is_prompt = tokenizer, say, True

    def put(self, value: torch.Tensor) -> None:
        if not self._is_prompt:
            self._say(self._tokenizer.decode(value))
        self._is_prompt = False

    def end(self) -> None:
        pass


class _Processor(Qwen2_5OmniProcessor):  # type: ignore[misc]
    """Without video, which would need torchvision."""

    def check_argument_for_proper_class(self, name: str, argument: Any) -> Any:
        if name == "video_processor":
            return None
        return super().check_argument_for_proper_class(name, argument)


class TinyQwen:
    """The model and its processor: a conversation in, text and sound out."""

    def __init__(self) -> None:
        torch.manual_seed(7)
        self.tokenizer = _tokenizer()
        self.features = WhisperFeatureExtractor(
            feature_size=128, chunk_length=30, sampling_rate=RATE_HZ, return_attention_mask=True
        )
        self.processor = _Processor(Qwen2VLImageProcessorPil(), None, self.features, self.tokenizer)
        self.model = Qwen2_5OmniForConditionalGeneration(_config(self.tokenizer)).eval()
        for weight in self.model.thinker.parameters():
            if weight.dim() > 1:  # large enough that what is read changes what is said
                torch.nn.init.normal_(weight, std=0.2)
        speaker = {"bos_token": 301, "cond": torch.randn(1, 16), "ref_mel": torch.randn(1, 60, 80)}
        self.model.speaker_map[SPEAKER] = speaker
        letters = range(ord(" "), ord("~") + 1)
        said = {self.tokenizer.convert_tokens_to_ids(_byte(letter)) for letter in letters}
        text = self.model.config.thinker_config.text_config
        self._unsaid = [token for token in range(text.vocab_size) if token not in said]

    def prompt(self, messages: list[dict[str, Any]]) -> str:
        """The conversation as text, one placeholder for each sound and image."""
        rendered = self.tokenizer.apply_chat_template(
            messages, chat_template=TEMPLATE, tokenize=False
        )
        return str(rendered)

    def read(
        self, prompt: str, sounds: list[NDArray[np.float32]], images: list[Image.Image]
    ) -> Any:
        """What the model is given; raises `ValueError` where placeholders do not fit."""
        return self.processor(
            text=[prompt],
            audio=sounds or None,
            images=images or None,
            audio_kwargs={"sampling_rate": RATE_HZ},
            return_tensors="pt",
        )

    def reply(
        self,
        inputs: Any,
        limit: int,
        thinker: Steps,
        talker: Steps | None,
        say: Callable[[str], object],
    ) -> bytes:
        """Think for `limit` tokens, each told to `say`; the sound as s16le, two codes a token.

        Without a `talker` nothing is spoken. Raises `Stopped`.
        """
        given = dict(inputs)
        if "pixel_values" in given:  # the talker does not take the images
            given["thinker_pixel_values"] = given.pop("pixel_values")
        with torch.inference_mode():
            made = self.model.generate(
                **given,
                speaker=SPEAKER,
                generation_mode="audio" if talker else "text",
                thinker_max_new_tokens=limit,
                thinker_do_sample=False,
                thinker_suppress_tokens=self._unsaid,
                thinker_streamer=_Letters(self.tokenizer, say),
                thinker_stopping_criteria=StoppingCriteriaList([thinker]),
                talker_max_new_tokens=2 * limit,
                talker_min_new_tokens=2 * limit,
                talker_eos_token_id=[CODES, CODES + 2],
                talker_stopping_criteria=StoppingCriteriaList([talker] if talker else []),
            )
        if not talker:
            return b""
        wave = made[1].numpy()
        # Random weights whisper: brought to half of full scale.
        return (wave / max(np.abs(wave).max(), 1e-30) * 16_000).astype(np.int16).tobytes()


def _byte(value: int) -> str:
    """The sign that stands for a byte in a byte-level vocabulary; plain ones for themselves."""
    return "Ġ" if value == ord(" ") else chr(value)


def _tokenizer() -> Any:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Qwen2TokenizerFast(
        vocab={sign: index for index, sign in enumerate(alphabet)},
        merges=[],
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=MEDIA,
    )
    tokenizer.add_tokens(["<|im_start|>"], special_tokens=True)
    return tokenizer


def _config(tokenizer: Any) -> Qwen2_5OmniConfig:
    token = tokenizer.convert_tokens_to_ids
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]}
    media = {
        "audio_token_index": token("<|AUDIO|>"),
        "image_token_index": token("<|IMAGE|>"),
        "video_token_index": token("<|VIDEO|>"),
        "audio_start_token_id": token("<|audio_bos|>"),
        "audio_end_token_id": token("<|audio_eos|>"),
        "vision_start_token_id": token("<|vision_bos|>"),
        "vision_end_token_id": token("<|vision_eos|>"),
    }
    audio = {
        "encoder_layers": 1,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "d_model": 32,
        "output_dim": HIDDEN,
    }
    vision = {
        "depth": 1,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": HIDDEN,
        "fullatt_block_indexes": [0],
    }
    text = {
        "vocab_size": 320,
        "hidden_size": HIDDEN,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_parameters": rope,
        "eos_token_id": token("<|im_end|>"),
        "pad_token_id": token("<|endoftext|>"),
    }
    talker = {
        "vocab_size": 512,
        "tts_text_start_token_id": 301,
        "tts_text_end_token_id": 302,
        "tts_text_pad_token_id": 303,
        "tts_codec_pad_token_id": CODES,
        "tts_codec_start_token_id": CODES + 1,
        "tts_codec_end_token_id": CODES + 2,
        "tts_codec_mask_token_id": CODES + 4,
        "embedding_size": HIDDEN,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "rope_parameters": rope,
    }
    dit = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "head_dim": 16,
        "emb_dim": 16,
        "num_embeds": 512,
        "look_ahead_layers": [0],
        "look_backward_layers": [0],
        "enc_emb_dim": 16,
        "enc_dim": 16,
        "enc_channels": [16, 16, 16, 16, 48],
        "enc_attention_channels": 8,
        "enc_se_channels": 8,
    }
    vocoder = {
        "upsample_initial_channel": 64,
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 3, 5]],
    }
    return Qwen2_5OmniConfig(
        thinker_config={
            "audio_config": audio,
            "vision_config": vision,
            "text_config": text,
            "user_token_id": 300,
            **media,
        },
        talker_config={**media, **talker},
        token2wav_config={"dit_config": dit, "bigvgan_config": vocoder},
    )
