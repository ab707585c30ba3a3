"""Limits on tokens that the wire's settings set, checked against what the engine has room for.

The wire's `truncation` and `max_output_tokens` come in, the engine's `Truncation` goes out or a
refusal with the path. Only whole limits are judged here: how many tokens instructions and tools
take the engine alone can count; it is asked before they come here (`runtime/admission.py`).
"""

from msgspec import UNSET

from duologue.core.talk import Truncation
from duologue.errors import Refusal
from duologue.events import MaxOutputTokens, RetentionRatio
from duologue.events import Truncation as WireTruncation


def check_output_limit(limit: MaxOutputTokens, context_tokens: int, param: str) -> None:
    """Refuse a limit on the reply that is longer than the window of the model."""
    if isinstance(limit, int) and limit > context_tokens:
        raise Refusal(
            "integer_above_max_value",
            f"Invalid value: {limit}. The model's context holds {context_tokens} tokens.",
            param,
        )


def check_truncation(
    truncation: WireTruncation, output_tokens: int, context_tokens: int, param: str
) -> None:
    """Refuse a `post_instructions` that leaves a reply of `output_tokens` no room."""
    limit = _post_instructions(truncation)
    most = max(0, context_tokens - output_tokens)
    if limit is not None and limit > most:
        raise Refusal(
            "integer_above_max_value",
            f"Invalid value: {limit}. The model's context holds {context_tokens} tokens, "
            f"{output_tokens} of them are for the reply: at most {most} may follow the "
            "instructions.",
            f"{param}.token_limits.post_instructions",
        )


def engine_truncation(truncation: WireTruncation) -> Truncation:
    """The setting as the engine takes it."""
    if isinstance(truncation, RetentionRatio):
        return Truncation(
            kept_share=truncation.retention_ratio, limit_tokens=_post_instructions(truncation)
        )
    return Truncation(allowed=truncation != "disabled")


def _post_instructions(truncation: WireTruncation) -> int | None:
    if not isinstance(truncation, RetentionRatio) or truncation.token_limits is UNSET:
        return None
    limit = truncation.token_limits.post_instructions
    return None if limit is UNSET else limit
