"""`POST /v1/realtime/sessions` and `/transcription_sessions`: the beta way to a client secret.

A flat session comes in and goes out whole, with a secret inside that opens such sessions and
speaks beta (C-203). Judging and keeping are those of `client_secrets.py`.
"""

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from duologue.errors import Refusal
from duologue.events import RealtimeSession, TranscriptionSession
from duologue.events.beta_secrets import (
    BetaClientSecret,
    BetaSessionCreate,
    BetaTranscriptionSessionCreate,
    beta_refusal,
    decode_beta_body,
    with_secret,
)
from duologue.gateway.auth import SAFETY_IDENTIFIER, Doorkeeper, Passage, hashed_identifier
from duologue.gateway.bodies import read_body
from duologue.gateway.client_secrets import ClientSecrets, Draft, SecretsFull
from duologue.gateway.faults import beta_refused, http_error, needs_standard_key, unauthorised
from duologue.gateway.keys import Key

_Body = BetaSessionCreate | BetaTranscriptionSessionCreate


class BetaRoutes:
    """The two routes; `strict` refuses keys that are not known, `refuses` everything."""

    def __init__(
        self, door: Doorkeeper, client_secrets: ClientSecrets, *, strict: bool, refuses: bool
    ) -> None:
        self._door = door
        self._client_secrets = client_secrets
        self._strict = strict
        self._refuses = refuses

    async def create(self, request: Request) -> Response:
        """A secret for a conversation."""
        return await self._mint(request, BetaSessionCreate)

    async def create_transcription(self, request: Request) -> Response:
        """A secret for a transcription."""
        return await self._mint(request, BetaTranscriptionSessionCreate)

    async def _mint(self, request: Request, kind: type[_Body]) -> Response:
        passage = self._door.judge(request)
        if not isinstance(passage, Passage):
            return unauthorised(passage)
        if passage.bound:
            return needs_standard_key()
        if self._refuses:
            return beta_refused()
        data = await read_body(request, "application/json")
        given = request.headers.get(SAFETY_IDENTIFIER)
        identifier = hashed_identifier(given) if given else None
        # A session may be long, and nothing long is done on the event loop.
        draft, temperature = await asyncio.to_thread(
            self._draft, data, kind, identifier, passage.key
        )
        try:
            self._client_secrets.keep(draft)
        except SecretsFull as full:
            return http_error(429, str(full))
        return await asyncio.to_thread(_answer, draft, temperature)

    def _draft(
        self, data: bytes, kind: type[_Body], identifier: str | None, key: Key
    ) -> tuple[Draft, float]:
        body = decode_beta_body(data, kind, strict=self._strict)
        try:
            draft = self._client_secrets.draft(
                body.start,
                body.client_secret.seconds,
                identifier,
                key=key,
                beta_temperature=body.shown_temperature,
            )
        except Refusal as refusal:
            raise beta_refusal(refusal) from None
        return draft, body.shown_temperature


def _answer(draft: Draft, temperature: float) -> Response:
    session, secret = draft.secret.session, draft.secret
    assert isinstance(session, RealtimeSession | TranscriptionSession)
    shown = BetaClientSecret(value=secret.value, expires_at=secret.expires_at)
    return Response(
        msgspec.json.encode(with_secret(session, temperature, shown)),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
