"""The engine `chat`: one model, hearing and speaking, on servers that others run.

It satisfies `Engine`. What it is made of comes from the composition root; a conversation costs
nothing until it speaks, so there is always a place for one more.
"""

import ssl
from collections.abc import Sequence

import httpx2

from duologue.core.talk import Ask
from duologue.engines.chat.request import Model
from duologue.engines.chat.talk import ChatTalk
from duologue.engines.chat.upstream import Upstream, base_url
from duologue.engines.chat.upstreams import FIRST_CHECK_S, MISFIT_S, Upstreams
from duologue.engines.pace import Pace
from duologue.errors import ConfigFault
from duologue.runtime.ports import Talk, Traits

MOST_REPLY_TOKENS = 1024
"""Left free in the window for a reply whose ask names no limit."""


class ChatEngine:
    """Satisfies `Engine`. `urls` are the servers, all with the same model and key.

    `timeout_s` is the longest that an upstream may say nothing, until the head of its answer, from
    there to the first event and between two. `sees` and `tools`: the model looks at images, calls
    functions. One that failed is looked at after `check_s`, one that refuses is passed over for
    `misfit_s`. `trust` stands for the public certificate authorities in tests.
    """

    def __init__(
        self,
        urls: Sequence[str],
        model: Model,
        *,
        key: str | None = None,
        sees: bool = True,
        tools: bool = True,
        context_tokens: int = 4096,
        timeout_s: float = 30.0,
        check_s: float = FIRST_CHECK_S,
        misfit_s: float = MISFIT_S,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self.traits = Traits(
            hears=True,
            speaks=True,
            sees=sees,
            tools=tools,
            voices=model.voices,
            context_tokens=context_tokens,
            max_output_tokens=MOST_REPLY_TOKENS,
        )
        if key is not None and not (key.isascii() and key.isprintable()):
            raise ConfigFault("upstream_key: holds signs that no HTTP header can carry")
        self._model = model
        self._client = httpx2.AsyncClient(
            verify=trust or ssl.create_default_context(),
            trust_env=False,  # no proxy and no .netrc that the settings do not name
            follow_redirects=False,  # the key goes to the server that was named and no other
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64),
        )
        bases = dict.fromkeys(map(base_url, urls))
        self.upstreams = Upstreams(
            [Upstream(url, self._client, key=key, timeout_s=timeout_s) for url in bases],
            check_s=check_s,
            misfit_s=misfit_s,
        )
        self._paces: dict[str, Pace] = {}

    async def open(self, ask: Ask) -> Talk:
        return ChatTalk(self.upstreams, self._model, self.traits, self._paces)

    async def aclose(self) -> None:
        await self.upstreams.aclose()
        await self._client.aclose()
