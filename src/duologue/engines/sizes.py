"""How much of a model's window an item takes: an estimate, for the tokenizer is the upstream's.

Items come in, tokens by modality go out; `per_s` is what a model makes of a second of sound.
The estimate decides what of a long history is sent, and it is the usage of a reply whose
upstream tells none.
"""

from collections import Counter
from collections.abc import Iterable
from math import ceil

import msgspec

from duologue.audio import pcm as audio
from duologue.core.talk import Ask, Item

BYTES_PER_TOKEN = 4
"""UTF-8 bytes of text that one token stands for."""

MESSAGE_TOKENS = 4
"""What the frame of a message costs."""

AUDIO_TOKENS_PER_S = 12.5
"""Tokens of a second of the user's sound, as in Qwen3-Omni and Voxtral."""

OWN_AUDIO_TOKENS_PER_S = {"qwen2.5-omni": 25.0}
"""Of models that are known to take more, by a part of their name."""

IMAGE_TOKENS = 1000
"""An image of about a megapixel."""


def text_tokens(text: str) -> int:
    """The tokens of a text."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def audio_tokens_per_s(model: str) -> float:
    """Tokens of a second of sound for a model of that name."""
    name = model.lower()
    own = (value for part, value in OWN_AUDIO_TOKENS_PER_S.items() if part in name)
    return next(own, AUDIO_TOKENS_PER_S)


def sound_tokens(pcm: bytes, per_s: float = AUDIO_TOKENS_PER_S) -> int:
    """The tokens of the user's sound."""
    return ceil(audio.ceil_ms_of_samples(audio.samples(pcm)) * per_s / 1000)


def item_tokens(item: Item, per_s: float = AUDIO_TOKENS_PER_S) -> Counter[str]:
    """The tokens of an item as it is sent, by modality."""
    counts = Counter(text=MESSAGE_TOKENS)
    if item.call is not None:
        counts["text"] += text_tokens(item.call.name + item.call.arguments)
    for part in item.parts:
        if part.pcm and item.role == "user":
            counts["audio"] += sound_tokens(part.pcm, per_s)
        elif part.image_url:
            counts["image"] += IMAGE_TOKENS
        else:
            counts["text"] += text_tokens(part.text or "")
    return counts


def size(item: Item, per_s: float = AUDIO_TOKENS_PER_S) -> int:
    """The tokens of an item as it is sent."""
    return item_tokens(item, per_s).total()


def head_tokens(ask: Ask) -> int:
    """The tokens of instructions and tools."""
    tools = sum(
        text_tokens(tool.name + tool.description) + len(msgspec.json.encode(tool.parameters)) // 4
        for tool in ask.tools
    )
    return text_tokens(ask.instructions) + MESSAGE_TOKENS + tools


def input_tokens(
    ask: Ask, items: Iterable[Item], per_s: float = AUDIO_TOKENS_PER_S
) -> dict[str, int]:
    """What a reply reads, by modality."""
    counts = Counter(text=head_tokens(ask))
    for item in items:
        counts.update(item_tokens(item, per_s))
    return dict(counts)
