"""A Moshi of random weights, small enough for any machine: it babbles, and all of it is real.

    python -m duologue.testing.tiny_moshi DIRECTORY

writes configuration, weights and vocabulary in transformers' format, as a trained Moshi has them.
For tests of the engine `moshi`, for measurements, and to see the engine run where there is no GPU.
"""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import MoshiConfig, MoshiForConditionalGeneration
from transformers.models.mimi.modeling_mimi import MimiEuclideanCodebook
from transformers.utils.logging import disable_progress_bar

SYLLABLES = ("ba", "do", "ki", "lu", "me", "no", "pa", "ri", "so", "tu")
TEXT_TOKENS = 64
WINDOW_FRAMES = 40
"""A short memory, so that tests see it go round."""


def config() -> MoshiConfig:
    """The shape: 0.3 M parameters, and 0.15 M of its codec."""
    codec = {
        "model_type": "mimi",
        "hidden_size": 32,
        "num_filters": 4,
        "codebook_size": 64,
        "codebook_dim": 16,
        "vector_quantization_hidden_dimension": 16,
        "num_quantizers": 8,
        "upsample_groups": 32,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "sliding_window": 2 * WINDOW_FRAMES,
    }
    depth = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64}
    return MoshiConfig(
        vocab_size=TEXT_TOKENS,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=128,
        num_codebooks=8,
        sliding_window=WINDOW_FRAMES,
        max_position_embeddings=WINDOW_FRAMES,
        audio_encoder_config=codec,
        depth_decoder_config=depth,
    )


def build(directory: Path, seed: int = 7) -> Path:
    """Write the model into `directory`; the same `seed` gives the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        moshi = MoshiForConditionalGeneration(config())
        for module in moshi.modules():
            if isinstance(module, MimiEuclideanCodebook):  # which begin at zero, all the same
                module.embed_sum.normal_()
                module._embed = None
        # Weights as they begin are too small to be heard, or to prefer one token to another.
        for parameter in moshi.decoder.parameters():
            parameter.data *= 4
        for parameter in moshi.audio_encoder.decoder.decoder_seanet.layers[-1].parameters():
            parameter.data /= 100  # sound of -1..1
    disable_progress_bar()
    directory.mkdir(parents=True, exist_ok=True)
    moshi.save_pretrained(directory)
    pieces = {"<unk>": 0, "<s>": 1, "</s>": 2, "<pad>": 3}
    for token in range(len(pieces), TEXT_TOKENS):
        syllable = SYLLABLES[token % 10] + SYLLABLES[token // 10]
        pieces[f"▁{syllable}" if token % 2 else syllable] = token
    Tokenizer(WordLevel(pieces, unk_token="<unk>")).save(str(directory / "tokenizer.json"))
    return directory


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))  # noqa: T201
