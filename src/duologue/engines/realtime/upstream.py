"""Where the upstream is and what it says of itself; the words for what can go wrong there.

Settings in; addresses, headers, traits and `EngineFault`s out. The key is in the headers only:
`told` takes it, and whatever else is a secret, out of anything that an upstream says.
"""

import asyncio
import logging
import ssl
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx2
import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from duologue.errors import ConfigFault, EngineFault
from duologue.events import EngineTraits
from duologue.remote.told import told
from duologue.runtime.ports import Traits

logger = logging.getLogger(__name__)

MODELS_TIMEOUT_S = 5.0
SCHEMES = {"ws": "http", "wss": "https", "http": "http", "https": "https"}

OPEN_TRAITS = Traits(reads_images=True, context_tokens=32_768)
"""What an upstream that does not say is taken for: it refuses itself what it cannot do, and nobody
knows whether one model there both hears and speaks."""

REASONS = {
    401: ("invalid_api_key", "It does not accept the key of this server."),
    403: ("insufficient_permissions", "It does not let the key of this server in."),
    404: ("not_found", "It has no Realtime endpoint at this address."),
    429: ("rate_limit_exceeded", "It is over its limits; try again later."),
}


class Told(msgspec.Struct, frozen=True):
    """What an upstream says it is; nothing, where it is no duologue or `is_away`."""

    traits: Traits = OPEN_TRAITS
    is_duologue: bool = False
    is_away: bool = False


class Upstream:
    """One upstream: its address, key and model.

    `url` is that of the endpoint (`ws://host/v1/realtime`) or of the API (`http://host/v1`).
    Raises `ConfigFault`.
    """

    def __init__(self, url: str, key: str | None = None, model: str | None = None) -> None:
        parts = urlsplit(url.strip())
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise ConfigFault(
                f"upstream: {_shown(url)!r} is not allowed; allowed: ws://HOST/v1/realtime"
            )
        if parts.username or parts.password:
            raise ConfigFault("upstream: the key belongs into upstream_key, not into the address")
        if key and not (key.isascii() and key.isprintable() and key == key.strip()):
            raise ConfigFault("upstream_key: holds signs that no HTTP header can carry")
        self._key = key
        self.model = model
        http = SCHEMES[parts.scheme]
        path = parts.path.rstrip("/").removesuffix("/realtime") or "/v1"
        query = "&".join(filter(None, (parts.query, urlencode({"model": model}) if model else "")))
        self.url = urlunsplit(("ws" + http[4:], parts.netloc, f"{path}/realtime", query, ""))
        self.models_url = urlunsplit((http, parts.netloc, f"{path}/models", "", ""))
        self.name = parts.netloc
        """Host and port: what a log may show."""
        self.duplex = "duplex=1" in parts.query.split("&")
        """Whether the address asks for a model that listens while it speaks (vLLM-Omni)."""

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    def told(self, message: str) -> str:
        """What an upstream said, without any key or address of a network, of bearable length."""
        return told(message, self._key)

    def fault(self, error: BaseException) -> EngineFault:
        """Why the upstream could not be reached or was lost, in words for a client."""
        match error:
            case EngineFault():
                return EngineFault(self.told(error.message), error.code)
            case InvalidStatus(response=response):
                status = response.status_code
                if 300 <= status < 400:
                    code, reason = "engine_error", "It redirects, which is not followed."
                else:
                    default = ("engine_error", "It does not speak the Realtime protocol there.")
                    code, reason = REASONS.get(status, default)
                return EngineFault(f"The upstream answered with status {status}. {reason}", code)
            case InvalidHandshake():
                return EngineFault("The upstream does not answer as a WebSocket.")
            case ConnectionClosed(rcvd=closed):
                why = f" ({closed.code} {closed.reason})".rstrip() if closed else ""
                return EngineFault(self.told(f"The upstream closed the session{why}."))
            case ssl.SSLError():
                return EngineFault("The upstream's certificate is not to be trusted.")
            case TimeoutError():
                return EngineFault("The upstream does not answer in time.")
            case OSError():
                return EngineFault("The upstream cannot be reached.")
        logger.error("upstream %s: broke", self.name, exc_info=error)
        return EngineFault("The connection to the upstream broke.")

    async def is_well(self) -> bool:
        """Whether there is a server that answers. Never raises."""
        try:
            return (await self._models()).status_code < 500
        except (httpx2.HTTPError, OSError):
            return False

    async def traits(self) -> Told:
        """What the upstream says it is. Never raises."""
        try:
            answer = await self._models()
            if answer.status_code >= 500:
                logger.warning("upstream %s is not ready: %d", self.name, answer.status_code)
                return Told(is_away=True)
            listed = answer.json()["data"] if answer.status_code == 200 else []
            return _told(listed, self.model)
        except (httpx2.TransportError, OSError) as fault:
            logger.warning("upstream %s cannot be asked: %s", self.name, type(fault).__name__)
            return Told(is_away=True)
        except (httpx2.HTTPError, ValueError, KeyError, TypeError) as fault:
            kind = type(fault).__name__
            logger.warning("upstream %s does not tell its models: %s", self.name, kind)
            return Told()

    async def _models(self) -> httpx2.Response:
        # Without the environment's proxies and .netrc: a proxy would see the key.
        trust = await asyncio.to_thread(httpx2.create_ssl_context)
        async with httpx2.AsyncClient(
            timeout=MODELS_TIMEOUT_S, trust_env=False, verify=trust
        ) as client:
            return await client.get(self.models_url, headers=self.headers)


def _told(listed: list[Any], model: str | None) -> Told:
    described = [one for one in listed if isinstance(one, dict) and "duologue" in one]
    named = [one for one in described if one.get("id") == model]
    for one in named or described:
        shown = msgspec.convert(one["duologue"]["traits"], EngineTraits)
        return Told(_traits_shown(shown), is_duologue=True)
    return Told()


def traits_of(session: Any) -> Traits | None:
    """The traits that another duologue shows in a session; None where none are shown."""
    try:
        return _traits_shown(msgspec.convert(session["duologue"]["traits"], EngineTraits))
    except (KeyError, TypeError, msgspec.ValidationError):
        return None


def _traits_shown(shown: EngineTraits) -> Traits:
    """A front's traits: those of the upstream. Its turns are its own, unless a model owns them."""
    return Traits(
        hears=shown.hears,
        speaks=shown.speaks,
        audible="audio" in shown.output_modalities,
        sees=shown.sees,
        reads_images="image" in shown.input_modalities,
        duplex=shown.duplex,
        rewinds=shown.rewinds,
        tools=shown.tools,
        voices=shown.voices,
        languages=shown.languages,
        context_tokens=shown.context_tokens,
        max_output_tokens=shown.max_output_tokens,
    )


def _shown(url: str) -> str:
    """An address that may be shown: without what could be a key."""
    return url.split("?")[0].rsplit("@", 1)[-1]
