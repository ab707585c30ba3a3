"""The engine: another in front, and a model behind it that the front may ask.

To the outside it is what the front is: its traits, its places, its voice.
"""

from duologue.core.talk import Ask
from duologue.engines.composed.parts import Mind
from duologue.engines.delegation.expert import MOST_CHARACTERS, Expert
from duologue.engines.delegation.heard import Hear
from duologue.engines.delegation.reply import AGAIN_S
from duologue.engines.delegation.talk import DelegatingTalk
from duologue.engines.delegation.tool import offered
from duologue.errors import ConfigFault, EngineBusy
from duologue.runtime.ports import Engine, Talk, Traits

CHARACTERS_PER_TOKEN = 3
ANSWER_SHARE = 0.25
"""Of the front's window, for one answer at most."""


class DelegatingEngine:
    """Satisfies `Engine`; both the front and the model behind are its own.

    `hear` gives the words of what the user said, for the model that reads only; `again_s` is the
    silence after which the front says that it is still being looked up.
    Raises `ConfigFault` where the front calls no functions, or owns the floor itself: it could
    not be given the tool.
    """

    def __init__(self, front: Engine, mind: Mind, hear: Hear, *, again_s: float = AGAIN_S) -> None:
        traits = front.traits
        if not traits.tools:
            raise ConfigFault("delegate: this engine calls no functions, so it can ask nobody")
        if traits.duplex:
            raise ConfigFault("delegate: a full-duplex engine speaks unasked and asks nobody")
        self._front = front
        self._hear = hear
        self._again_s = again_s
        room = int(traits.context_tokens * ANSWER_SHARE) * CHARACTERS_PER_TOKEN
        self._expert = Expert(mind, most_characters=min(MOST_CHARACTERS, room))

    @property
    def traits(self) -> Traits:
        """Those of the front: it hears and speaks, whomever it asks."""
        return self._front.traits

    @traits.setter
    def traits(self, traits: Traits) -> None:
        self._front.traits = traits

    async def open(self, ask: Ask) -> Talk:
        """See `Engine.open`. Raises `EngineBusy` where the front has become full-duplex.

        An upstream that was away at the start tells only later what it is.
        """
        front = await self._front.open(offered(ask))
        if self.traits.duplex:
            await front.aclose()
            raise EngineBusy("delegate: the model that speaks is full-duplex, and asks nobody")
        return DelegatingTalk(front, self._expert, self._hear, again_s=self._again_s)

    async def aclose(self) -> None:
        """Close the front, and the connections to the model behind."""
        await self._front.aclose()
        await self._expert.aclose()
