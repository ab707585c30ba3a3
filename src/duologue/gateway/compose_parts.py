"""The parts of the composed engine out of settings: each a model here, or one on another server.

What a part needs is imported only when it is the one configured.
"""

import os
from pathlib import Path

from duologue.config import ServerConfig
from duologue.engines.light.parts import Mind
from duologue.remote.address import is_remote


async def make_mind(config: ServerConfig, path: Path | None) -> Mind:
    """The language model: at `path`, or where the setting `llm` says.

    Raises `ConfigFault`, `ModelFault`.
    """
    if config.llm is not None and is_remote(config.llm):
        from duologue.engines.remote.chat_mind import ChatMind
        from duologue.remote.server import RemoteServer

        server = RemoteServer(config.llm, "llm", "the language model's server", config.llm_key)
        return ChatMind(server, context_tokens=config.context_tokens)

    from duologue.engines.light.mind import LlamaMind
    from duologue.engines.light.prompt_mind import PromptMind

    assert path is not None, "what is not remote was resolved"
    return PromptMind(
        await LlamaMind.load(
            path,
            places=config.max_sessions,
            context_tokens=config.context_tokens,
            threads=config.threads or os.cpu_count() or 1,
        )
    )
