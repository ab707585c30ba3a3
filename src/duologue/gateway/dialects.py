"""Which dialect a connection speaks: beta where it asks for it, GA otherwise.

Headers, sub-protocols and the credential come in (reference, section 8), a `Dialect` of the
connection's own goes to its transport.
"""

from starlette.requests import HTTPConnection

from duologue.config import ServerConfig
from duologue.events.beta import Beta
from duologue.events.beta_objects import DEFAULT_TEMPERATURE
from duologue.events.dialect import Dialect, Ga, Translation
from duologue.gateway.auth import Passage

BETA_TOKEN = "realtime=v1"
"""What the `OpenAI-Beta` header contains, perhaps beside other tokens."""

BETA_PROTOCOL = "openai-beta.realtime-v1"
"""The sub-protocol entry of clients that cannot set headers."""


def asks_for_beta(connection: HTTPConnection, passage: Passage) -> bool:
    """Whether a WebSocket upgrade asks for the beta dialect, or its secret was minted in it."""
    if passage.bound and passage.bound.beta_temperature is not None:
        return True
    headers = connection.headers.getlist("openai-beta")
    tokens = {token.strip() for header in headers for token in header.split(",")}
    return BETA_TOKEN in tokens or BETA_PROTOCOL in connection.scope.get("subprotocols", ())


def dialect_of(
    config: ServerConfig, passage: Passage, *, is_beta: bool, translation: bool = False
) -> Dialect:
    """A new connection's dialect."""
    strict = config.unknown_keys == "strict"
    if translation:
        return Translation(strict=strict)
    if not is_beta:
        return Ga(strict=strict)
    given = passage.bound.beta_temperature if passage.bound else None
    return Beta(strict=strict, temperature=DEFAULT_TEMPERATURE if given is None else given)
