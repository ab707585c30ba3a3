"""What each side is told: the history for the expert, what to say meanwhile for the front. Pure.

The expert gets words alone: what was said, and what it answered before. Calls and results are
told in words, for servers that take no message about tools that they were not given.
"""

from collections.abc import Iterator, Sequence

from msgspec import structs

from duologue.core.talk import Ask, Item, Part

EXPERT = (
    "You are the expert whom a voice assistant asks in the middle of a spoken conversation with "
    "a user. You read the conversation, then the assistant's question. Work it out with care and "
    "answer it directly: the assistant reads your answer and says it aloud in its own words. "
    "Begin with the answer, in three sentences at most unless the question needs more; plain "
    "text without markdown. Say so if you do not know. Use the language of the question."
)
OWN = "The assistant itself was told:\n{instructions}"
QUESTION = "(The assistant asks you: {question})"
NO_QUESTION = "(The assistant asks you what to answer to the user.)"

UNHEARD = "(The user said something that was not written down.)"
UNSEEN = "(The user showed an image.)"

FAILED = (
    "The expert cannot be asked just now, so this could not be found out. Tell the user that you "
    "could not find it out; do not guess, and do not ask the expert again for it."
)

ASIDE = (
    "The user has asked you something, and you are finding it out right now. Say one very short "
    "sentence, six words at most, which tells them that you are on it, such as that you will "
    "check. Do not answer, do not ask anything. Speak the language of the user."
)
STILL = (
    "The user has asked you something, and you are still finding it out; it takes longer than "
    "usual. Say one very short sentence, eight words at most, which tells them that you are "
    "still on it. Do not answer, do not ask anything. Speak the language of the user."
)
MOST_ASIDE_TOKENS = 128
"""Words and their sound: a limit counts both, and a sentence of words is a quarter of it."""


def expert_ask(ask: Ask, max_tokens: int) -> Ask:
    """How the expert shall answer within a reply to `ask`."""
    own = ask.instructions.strip()
    text = f"{EXPERT}\n\n{OWN.format(instructions=own)}" if own else EXPERT
    return Ask(instructions=text, speak=False, max_tokens=max_tokens, context=(), keep=False)


def expert_items(items: Sequence[Item], question: str) -> list[Item]:
    """What the expert reads: the history as words, and what it is asked."""
    asked = QUESTION.format(question=question) if question else NO_QUESTION
    return [*_told(items), Item("question", "user", (Part(asked),))]


def aside_ask(ask: Ask, question: str, *, still: bool, max_tokens: int | None) -> Ask:
    """What the front is asked to say while the expert thinks: apart from the conversation."""
    instructions = "\n\n".join(filter(None, (ask.instructions.strip(), STILL if still else ASIDE)))
    return structs.replace(
        ask,
        instructions=instructions,
        tools=(),
        tool_choice="none",
        max_tokens=MOST_ASIDE_TOKENS if max_tokens is None else min(MOST_ASIDE_TOKENS, max_tokens),
        context=(Item("question", "user", (Part(question or "Can you find that out?"),)),),
        keep=False,
    )


def _told(items: Sequence[Item]) -> Iterator[Item]:
    names = {item.call.call_id: item.call for item in items if item.call}
    for item in items:
        text = " ".join(filter(None, map(words, item.parts)))
        if item.role == "call" or not text:
            continue
        if item.role == "result":
            call = names.get(item.call_id or "")
            what = f" {call.name} {call.arguments}" if call else ""
            text = f"(The assistant called{what} and was told: {text})"
            yield Item(item.id, "user", (Part(text),))
        else:
            yield Item(item.id, item.role, (Part(text),))


def words(part: Part) -> str:
    """What can be told of a part in words."""
    if part.text:
        return part.text
    return UNSEEN if part.image_url else UNHEARD if part.pcm else ""
