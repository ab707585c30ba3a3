"""Whether the default model of `light` asks the expert when it should, and only then.

    python bench/delegation_choice.py

Each question is a conversation of its own, as text, and counts as asked where the reply is a
call of `ask_expert`, which its first piece shows; nobody is asked really. Questions that are hard
should be (`asked_of_hard`), small talk should not (`asked_of_easy`). With `--tool` the session has
a function of its own, too, which three more questions want (`called_its_own`). One JSON line;
`--each` prints how each reply begins, `--only` asks one kind. Beside a busy process it is slow.
"""

import argparse
import asyncio
import json
import os
import time
from contextlib import aclosing

from duologue.config import ServerConfig
from duologue.core.talk import Ask, Call, Item, Part, Tool
from duologue.engines.composed.parts import MindTalk, Thought
from duologue.engines.delegation.tool import NAME, offered
from duologue.gateway.compose import only
from duologue.gateway.compose_parts import make_mind
from duologue.gateway.provision import specs, store_of
from duologue.models import resolve

HARD = (
    "What is the population of Portugal?",
    "When was the Suez canal opened?",
    "Who won the Nobel prize for literature in nineteen eighty two?",
    "What is seventeen times twenty three?",
    "How much is a loan of ten thousand euros at four percent after three years?",
    "Which rivers flow through Budapest and Vienna?",
    "Can you plan a three day trip to Rome for me?",
    "Write me a Python function that finds prime numbers.",
    "What are the side effects of ibuprofen?",
    "How far away is the moon in kilometers?",
    "Who was the third president of Brazil?",
    "Should I pay off my mortgage or invest the money?",
    "Explain how a transistor works.",
    "How many calories are in a hundred grams of lentils?",
    "What does the second law of thermodynamics say?",
    "If a train leaves at nine at eighty kilometers an hour, when is it two hundred away?",
)
EASY = (
    "Hello there!",
    "Good morning, how are you today?",
    "What's your name?",
    "Thank you very much.",
    "I had a really long day.",
    "Can you hear me?",
    "My name is Anna.",
    "Okay, let's talk about something else.",
    "I like dogs more than cats.",
    "Goodbye, see you tomorrow.",
    "That sounds great!",
    "Please speak a little slower.",
    "Do you like music?",
    "Count to five.",
    "I'm bored.",
    "Wait a moment, please.",
)
WEATHER = (
    "What is the weather like in Oslo?",
    "Will it rain in Madrid tomorrow?",
    "Is it cold in Paris right now?",
)
GET_WEATHER = Tool(
    "get_weather",
    "Tells the weather of a place.",
    {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
)


async def answer(talk: MindTalk, ask: Ask, question: str) -> tuple[str, str]:
    """The function that a reply calls, "" for none, and with what words it begins."""
    think = await talk.prepare(ask, [Item("u", "user", (Part(question),))])
    said = ""
    async with aclosing(think()) as thoughts:
        async for thought in thoughts:
            if isinstance(thought, Thought):
                if isinstance(thought.call, Call):
                    return thought.call.name, said
                said += thought.text
                if said.strip():
                    break
    return "", said


async def measure(*, only_kind: str | None, has_tool: bool, each: bool) -> dict[str, object]:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as where it serves
    config = ServerConfig(max_sessions=1)
    path = resolve(specs(config)["mind"], store_of(config))
    mind = await make_mind(config, only(path, ".gguf"))
    await mind.warm()
    ask = offered(Ask(tools=(GET_WEATHER,) if has_tool else (), max_tokens=40))
    kinds = {"hard": HARD, "easy": EASY, **({"weather": WEATHER} if has_tool else {})}
    if only_kind is not None:
        kinds = {only_kind: kinds[only_kind]}
    called: dict[str, list[str]] = {kind: [] for kind in kinds}
    taken_s: list[float] = []
    talk = mind.open()
    for kind, questions in kinds.items():
        for question in questions:
            start = time.perf_counter()
            name, said = await answer(talk, ask, question)
            taken_s.append(time.perf_counter() - start)
            called[kind].append(name)
            if each:
                print(f"{kind:8} {name or '-':12} {question}  {said}", flush=True)
    await talk.aclose()
    await mind.aclose()
    return {
        "bench": "delegation_choice",
        "tool": has_tool,
        **{f"asked_of_{kind}": f"{c.count(NAME)}/{len(c)}" for kind, c in called.items()},
        "called_its_own": sum(c.count(GET_WEATHER.name) for c in called.values()),
        "seconds": round(sum(taken_s), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", action="store_true")
    parser.add_argument("--only", choices=("hard", "easy", "weather"))
    parser.add_argument("--each", action="store_true")
    chosen = parser.parse_args()
    measured = measure(only_kind=chosen.only, has_tool=chosen.tool, each=chosen.each)
    print(json.dumps(asyncio.run(measured)))


if __name__ == "__main__":
    main()
