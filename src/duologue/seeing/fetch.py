"""Images by https URL, from the hosts that the owner allows and from no other.

A URL comes in, bytes go out. The name is looked up once, every address it has must be public,
and the connection goes to the address that was looked at, so that a name cannot lead into the
owner's network. Redirects are not followed; time and size are bounded.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from duologue.errors import Refusal

if TYPE_CHECKING:
    from httpx2 import Response

HTTPS_PORT = 443
TIMEOUT_S = 5.0
"""For all of it: look-up, handshake, answer."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_global and not address.is_multicast


class Fetch:
    """Fetches from `hosts` (`name` or `name:port`), `limit_bytes` at most.

    `admits` and `trust` stand for the internet in tests: which addresses may be connected to,
    and whose certificates are believed.
    """

    def __init__(
        self,
        hosts: frozenset[str],
        *,
        limit_bytes: int,
        timeout_s: float = TIMEOUT_S,
        admits: Callable[[Address], bool] = is_public,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts = hosts
        self._limit_bytes = limit_bytes
        self._timeout_s = timeout_s
        self._admits = admits
        self._trust = trust

    async def get(self, url: str) -> bytes:
        """What the URL gives. Raises `Refusal`."""
        host, port, parts = self._allowed(url)
        try:
            async with asyncio.timeout(self._timeout_s):
                address = await self._address(host, port)
                return await self._download(host, port, address, parts)
        except TimeoutError:
            raise _failed(f"it took longer than {self._timeout_s:g} s") from None

    def _allowed(self, url: str) -> tuple[str, int, SplitResult]:
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").rstrip("."), parts.port or HTTPS_PORT
        except ValueError:
            raise Refusal("invalid_image_url", "The URL of the image is not valid.") from None
        if not host or parts.username is not None or not url.isprintable() or " " in url:
            raise Refusal("invalid_image_url", "The URL of the image is not valid.")
        known = {f"{host}:{port}"} | ({host} if port == HTTPS_PORT else set())
        if not known & self._hosts:
            message = (
                "This server does not fetch images from that host; send the image as a data URI "
                "of PNG or JPEG."
            )
            raise Refusal("invalid_value", message)
        return host, port, parts

    async def _address(self, host: str, port: int) -> Address:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
        except (OSError, ValueError):
            raise _failed("its host is not known") from None
        if not addresses or not all(map(self._admits, addresses)):
            raise _failed("its host is not on the public internet")
        return addresses[0]

    async def _download(self, host: str, port: int, address: Address, parts: SplitResult) -> bytes:
        import httpx2  # 60 ms, and most servers never fetch anything

        place = f"[{address}]" if address.version == 6 else str(address)
        target = parts._replace(netloc=f"{place}:{port}", fragment="").geturl()
        headers = {
            "Host": host if port == HTTPS_PORT else f"{host}:{port}",
            "Accept": "image/png, image/jpeg",
            "Accept-Encoding": "identity",  # nothing that could grow
        }
        trust = self._trust or ssl.create_default_context()
        try:
            async with (
                httpx2.AsyncClient(verify=trust, trust_env=False, timeout=None) as client,
                client.stream(
                    "GET", target, headers=headers, extensions={"sni_hostname": host}
                ) as response,
            ):
                if response.status_code != 200:
                    raise _failed(f"its host answered {response.status_code}")
                return await self._body(response)
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError):
            raise _failed("its host did not give it") from None

    async def _body(self, response: "Response") -> bytes:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._limit_bytes:
                message = f"The image is larger than {self._limit_bytes} bytes."
                raise Refusal("image_file_too_large", message)
        return bytes(body)


def _failed(why: str) -> Refusal:
    return Refusal("failed_to_download_image", f"The image could not be fetched: {why}.")
