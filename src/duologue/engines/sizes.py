"""How much of a model's window an item takes: an estimate, for the tokenizer is the upstream's.

Items come in, tokens by modality go out. The estimate decides what of a long history is sent,
and it is the usage of a reply whose upstream tells none.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from duologue.audio import pcm as audio
from duologue.core.talk import Ask, Item

BYTES_PER_TOKEN = 4
"""UTF-8 bytes of text that one token stands for."""

MESSAGE_TOKENS = 4
"""What the frame of a message costs."""

AUDIO_TOKEN_MS = 80
"""The user's sound that one token stands for: 12.5 a second, as in Qwen3-Omni. Qwen2.5-Omni: 25."""

IMAGE_TOKENS = 1000
"""An image of about a megapixel."""


def text_tokens(text: str) -> int:
    """The tokens of a text."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def sound_tokens(pcm: bytes) -> int:
    """The tokens of the user's sound."""
    return -(-audio.ceil_ms_of_samples(audio.samples(pcm)) // AUDIO_TOKEN_MS)


def item_tokens(item: Item) -> Counter[str]:
    """The tokens of an item as it is sent, by modality."""
    counts = Counter(text=MESSAGE_TOKENS)
    if item.call is not None:
        counts["text"] += text_tokens(item.call.name + item.call.arguments)
    for part in item.parts:
        if part.pcm and item.role == "user":
            counts["audio"] += sound_tokens(part.pcm)
        elif part.image_url:
            counts["image"] += IMAGE_TOKENS
        else:
            counts["text"] += text_tokens(part.text or "")
    return counts


def size(item: Item) -> int:
    """The tokens of an item as it is sent."""
    return item_tokens(item).total()


def head_tokens(ask: Ask) -> int:
    """The tokens of instructions and tools."""
    tools = sum(
        text_tokens(tool.name + tool.description) + len(msgspec.json.encode(tool.parameters)) // 4
        for tool in ask.tools
    )
    return text_tokens(ask.instructions) + MESSAGE_TOKENS + tools


def input_tokens(ask: Ask, items: Iterable[Item]) -> dict[str, int]:
    """What a reply reads, by modality."""
    counts = Counter(text=head_tokens(ask))
    for item in items:
        counts.update(item_tokens(item))
    return dict(counts)
