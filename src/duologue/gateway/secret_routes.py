"""`POST /v1/realtime/client_secrets` and its counterpart for translation.

A body comes in, is judged whole, and a secret goes out with the session that it will open;
whatever is wrong is a 400 at this moment and never a surprise at the connection (GAP-52).
"""

import asyncio

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from duologue.events.client_secrets import (
    ClientSecret,
    ClientSecretCreate,
    ExpiresAfter,
    TranslationClientSecretCreate,
)
from duologue.gateway.auth import SAFETY_IDENTIFIER, Doorkeeper, Passage, hashed_identifier
from duologue.gateway.bodies import read_json
from duologue.gateway.client_secrets import ClientSecrets, SecretsFull
from duologue.gateway.faults import http_error, needs_standard_key, unauthorised
from duologue.gateway.session_start import SessionStartParams


class SecretRoutes:
    """The two routes; `strict` refuses keys that are not known."""

    def __init__(self, door: Doorkeeper, client_secrets: ClientSecrets, *, strict: bool) -> None:
        self._door = door
        self._client_secrets = client_secrets
        self._strict = strict

    async def create(self, request: Request) -> Response:
        """A secret for a conversation or a transcription."""
        passage = self._door.judge(request)
        if not isinstance(passage, Passage) or passage.bound:
            return _refused(passage)
        body = await read_json(request, ClientSecretCreate, strict=self._strict)
        start = None if body.session is UNSET else body.session
        return await self._mint(request, passage, start, body.expires_after)

    async def create_translation(self, request: Request) -> Response:
        """A secret for a translation."""
        passage = self._door.judge(request)
        if not isinstance(passage, Passage) or passage.bound:
            return _refused(passage)
        body = await read_json(request, TranslationClientSecretCreate, strict=self._strict)
        return await self._mint(request, passage, body.session, body.expires_after)

    async def _mint(
        self,
        request: Request,
        passage: Passage,
        start: SessionStartParams | None,
        expires_after: ExpiresAfter,
    ) -> Response:
        given = request.headers.get(SAFETY_IDENTIFIER)
        identifier = hashed_identifier(given) if given else None
        # A session may be long, and nothing long is done on the event loop.
        draft = await asyncio.to_thread(
            self._client_secrets.draft, start, expires_after.seconds, identifier, key=passage.key
        )
        try:
            secret = self._client_secrets.keep(draft)
        except SecretsFull as full:
            return http_error(429, str(full))
        return await asyncio.to_thread(_answer, secret)


def _answer(secret: ClientSecret) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(secret), media_type="application/json", headers=headers)


def _refused(passage: Passage | str) -> Response:
    return unauthorised(passage) if isinstance(passage, str) else needs_standard_key()
