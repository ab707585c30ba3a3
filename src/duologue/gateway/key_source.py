"""Where the keys come from: the setting `api_key` and the keys file, which is followed.

A key that vanishes from the file is revoked: it opens nothing more, its client secrets are
void, and its open sessions are told `invalid_api_key` and closed with 3000. Nobody else
notices.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from duologue.config import ServerConfig
from duologue.errors import ConfigFault
from duologue.gateway.keys import Keys, KeyTerms, own_key
from duologue.gateway.keys_file import followed_keys
from duologue.gateway.sessions import Sessions

logger = logging.getLogger(__name__)


class KeySource:
    """The keys of one server. Making it reads the file; raises `ConfigFault`."""

    def __init__(self, config: ServerConfig) -> None:
        self._own = [own_key(config.api_key)] if config.api_key else []
        self._file = (
            followed_keys(Path(config.keys_file).expanduser()) if config.keys_file else None
        )
        terms = self._with_own(self._file.load()) if self._file else self._own
        if not terms:
            raise ConfigFault("api_key: a server needs a key, here or in keys_file")
        self.keys = Keys(terms)

    @contextlib.asynccontextmanager
    async def following(self, sessions: Sessions) -> AsyncIterator[None]:
        """Follow the file inside the block, and end the sessions of revoked keys."""
        if self._file is None:
            yield
            return

        def take(terms: list[KeyTerms]) -> None:
            now = asyncio.get_running_loop().time()
            for key in self.keys.replace(self._with_own(terms), now):
                ended = sessions.dismiss(key)
                logger.warning("key %s was revoked; %d sessions end", key.terms.name, ended)

        async with self._file.following(take):
            yield

    def _with_own(self, terms: list[KeyTerms]) -> list[KeyTerms]:
        # `api_key` comes last, and so wins should the file name it, too: it has no limits.
        return [*terms, *self._own]
