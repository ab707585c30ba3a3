"""One upstream server: the body of a request goes out, the data of its events comes in.

HTTP is httpx2's, not the SDK's: the dialects' own fields are read as they come, without a
model object for every chunk, and closing the stream closes the connection, which is how an
upstream learns at once that nobody listens any more.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from urllib.parse import urlsplit

import httpx2

from duologue.engines.chat.faults import UpstreamFault, nonsense, of_status, of_transport
from duologue.engines.chat.request import LIMITS
from duologue.engines.chat.sse import DONE, MOST_BYTES, EventStream
from duologue.engines.patience import Patience, carrying_s
from duologue.errors import ConfigFault
from duologue.remote.told import told

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
CHECK_TIMEOUT_S = 5.0
DRAIN_S = 0.05
EXCERPT_BYTES = 4096
"""Read of an answer that is a refusal."""


def base_url(setting: str) -> str:
    """The base of an upstream's routes: `/v1`, where the setting names none. `ConfigFault`."""
    try:
        parts = urlsplit(setting)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or parts.query or parts.fragment:
        raise ConfigFault("upstream: is not the http or https URL of a server")
    if parts.username is not None or parts.password is not None:
        raise ConfigFault("upstream: a URL must hold no password; the key is upstream_key")
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


class Upstream:
    """A server at `url` (see `base_url`), asked with `key` through the client that all share."""

    def __init__(
        self, url: str, client: httpx2.AsyncClient, *, key: str | None, timeout_s: float
    ) -> None:
        self._url = url
        self._client = client
        self._key = key
        self._timeout_s = timeout_s
        self.name = urlsplit(url).netloc
        self.in_flight = 0
        """Replies that it is giving."""
        self.limit = LIMITS[0]
        """What it calls the limit of a reply, as far as is known."""
        self.down = False
        """It failed or refused, and no look at it found it well since."""
        self._is_doubted = False

    def patience(self) -> Patience:
        """What it has for one reply."""
        return Patience(self._timeout_s)

    async def stream(self, body: bytes, patience: Patience) -> AsyncGenerator[bytes, None]:
        """The data of each event. Raises `UpstreamFault`.

        The head must come within the timeout, and the time that the request may take on its way;
        then there is `patience`. Who reads the stream renews that where an event says something.
        It ends where the server closed the stream properly: whether that was the end of the
        answer the reader knows by what it has read.
        """
        self.in_flight += 1
        response: httpx2.Response | None = None
        try:
            response = await self._send(body)
            self.down = False
            async with aclosing(_pieces(response, patience)) as pieces:
                if _content_type(response) == "application/json":
                    yield await _whole(pieces, patience)
                    return
                events = EventStream()
                begun = 0
                async for piece in pieces:
                    complete = events.push(piece)
                    if complete:
                        begun = 0
                    if events.begun_bytes and not begun:
                        patience.begin()
                    patience.carried(max(0, events.begun_bytes - begun))
                    begun = events.begun_bytes
                    for data in complete:
                        yield data
                        if data == DONE:
                            await _drain(pieces)
                            return
                for data in events.flush():
                    yield data
        except (httpx2.TransportError, TimeoutError, OSError) as error:
            fault = of_transport(error, self._timeout_s)
            fault.told = repr(error)
            raise fault from None
        except ValueError:
            raise nonsense("sent an answer without an end") from None
        finally:
            self.in_flight -= 1
            if response is not None:
                await response.aclose()

    async def is_well(self) -> bool:
        """Whether it answers at all, without asking it to think."""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                response = await self._client.get(f"{self._url}/models", headers=self._headers())
        except (httpx2.TransportError, TimeoutError, OSError):
            return False
        is_page = _content_type(response) == "text/html"
        return response.status_code < 500 and not response.is_redirect and not is_page

    def note(self, fault: UpstreamFault) -> None:
        """Log a fault of this upstream, without its secrets."""
        said = f": {told(fault.told, self._key)}" if fault.told else ""
        log.warning("upstream %s: %s%s", self.name, fault.message, said)

    def doubt(self, prompt: int, completion: int) -> None:
        """Log, once, that its usage cannot be."""
        if not self._is_doubted:
            self._is_doubted = True
            log.warning(
                "upstream %s: its usage cannot be (%d tokens read, %d written): estimates stand "
                "for it",
                self.name,
                prompt,
                completion,
            )

    async def _send(self, body: bytes) -> httpx2.Response:
        async with asyncio.timeout(self._timeout_s + carrying_s(len(body))):
            try:
                response = await self._post(body)
            except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
                # A connection that was kept open may have been closed just then.
                response = await self._post(body)
        is_page = _content_type(response) == "text/html"
        if response.status_code == 200 and not is_page:
            return response
        try:
            said = b""
            async with aclosing(_pieces(response, self.patience())) as pieces:
                async for piece in pieces:
                    said += piece
                    if len(said) >= EXCERPT_BYTES:
                        break
        finally:
            await response.aclose()
        words = said[:EXCERPT_BYTES].decode(errors="replace")
        if response.status_code == 200:
            fault = nonsense("answers with a web page", words)
            fault.down = True
            raise fault
        raise of_status(response.status_code, words)

    async def _post(self, body: bytes) -> httpx2.Response:
        request = self._client.build_request(
            "POST",
            f"{self._url}/chat/completions",
            content=body,
            headers={"Content-Type": "application/json", **self._headers()},
            timeout=httpx2.Timeout(self._timeout_s, connect=CONNECT_TIMEOUT_S, pool=None),
        )
        return await self._client.send(request, stream=True)

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "text/event-stream, application/json", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        return headers


async def _pieces(response: httpx2.Response, patience: Patience) -> AsyncGenerator[bytes, None]:
    """The body as it comes, for as long as there is patience."""
    loop = asyncio.get_running_loop()
    raw = response.aiter_raw()
    async with aclosing(raw):
        while True:
            began_s = loop.time()
            async with asyncio.timeout(patience.left_s):
                piece = await anext(raw, None)
            if piece is None:
                return
            patience.spend(loop.time() - began_s)
            yield piece


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Wait for the end of a body, so that its connection can be used again; but not for long."""
    with contextlib.suppress(httpx2.TransportError, TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            async for _ in pieces:
                pass


async def _whole(pieces: AsyncIterator[bytes], patience: Patience) -> bytes:
    """An answer that is not streamed, though it was asked for so."""
    body = bytearray()
    async for piece in pieces:
        body += piece
        if not piece.isspace():
            patience.carried(len(piece))
        if len(body) > MOST_BYTES:
            raise ValueError("an answer without an end")
    return bytes(body)


def _content_type(response: httpx2.Response) -> str:
    value: str = response.headers.get("content-type", "")
    return value.partition(";")[0].strip().lower()
