"""Fetching over real TLS from a host of this machine, and what is never fetched."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trustme

from duologue.errors import Refusal
from duologue.seeing.fetch import Address, Fetch, is_public

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Host:
    """An https host named `localhost`: requests it got, and a fetch that trusts it."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.port = 0
        self.trust = ssl.create_default_context()

    def fetch(self, *hosts: str, **options: object) -> Fetch:
        given = {"admits": lambda _: True, "trust": self.trust, "limit_bytes": 1000, **options}
        return Fetch(frozenset(hosts or {f"localhost:{self.port}"}), **given)  # type: ignore[arg-type]

    def url(self, path: str = "/a.png?b=c#d", host: str = "localhost") -> str:
        return f"https://{host}:{self.port}{path}"


@asynccontextmanager
async def host(answer: bytes | Answer, name: str = "localhost") -> AsyncIterator[Host]:
    this = Host()
    authority = trustme.CA()
    authority.configure_trust(this.trust)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(server_side)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            this.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if isinstance(answer, bytes):
                writer.write(answer)
            else:
                await answer(writer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side had enough
        finally:
            writer.transport.abort() if callable(answer) else writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_side)
    async with server:
        this.port = server.sockets[0].getsockname()[1]
        yield this


def ok(body: bytes, headers: bytes = b"") -> bytes:
    length = f"Content-Length: {len(body)}\r\n".encode()
    return b"HTTP/1.1 200 OK\r\n" + length + headers + b"\r\n" + body


async def refusal(fetch: Fetch, url: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await fetch.get(url)
    return refused.value


async def test_an_image_is_fetched_from_a_host_that_is_allowed() -> None:
    async with host(ok(b"the image")) as there:
        assert await there.fetch().get(there.url()) == b"the image"
        (request,) = there.requests
        assert request.startswith("GET /a.png?b=c HTTP/1.1\r\n")
        assert f"host: localhost:{there.port}\r\n" in request.lower()
        assert "accept-encoding: identity\r\n" in request.lower()


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost/a.png",  # another port
        "https://other.example:{port}/a.png",
        "https://localhost.evil.example:{port}/a.png",
        "https://127.0.0.1:{port}/a.png",
        "https://[::1]:{port}/a.png",
    ],
)
async def test_other_hosts_are_not_even_asked(url: str) -> None:
    async with host(ok(b"secret")) as there:
        refused = await refusal(there.fetch(), url.format(port=there.port))
        assert refused.code == "invalid_value" and there.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "https://user:pass@localhost:{port}/a.png",
        "https:///a.png",
        "https://localhost:{port}/a b.png",
        "https://localhost:99999/a.png",
        "https://localhost:{port}/a\r\nX-Evil: 1",
        "https://[localhost:{port}/a.png",
    ],
)
async def test_strange_urls_are_refused(url: str) -> None:
    async with host(ok(b"secret")) as there:
        refused = await refusal(there.fetch(), url.format(port=there.port))
        assert refused.code == "invalid_image_url" and there.requests == []


async def test_an_allowed_name_that_leads_into_the_own_network_is_not_followed() -> None:
    async with host(ok(b"secret")) as there:
        refused = await refusal(there.fetch(admits=is_public), there.url())
        assert refused.code == "failed_to_download_image" and there.requests == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:192.168.1.1", False),
    ],
)
def test_only_addresses_of_the_open_internet_are_public(address: str, public: bool) -> None:
    one: Address = ipaddress.ip_address(address)
    assert is_public(one) is public


async def test_redirects_are_not_followed() -> None:
    async with host(ok(b"secret")) as other:
        moved = b"HTTP/1.1 302 Found\r\nLocation: " + other.url().encode() + b"\r\n"
        async with host(moved + b"Content-Length: 0\r\n\r\n") as there:
            fetch = there.fetch(f"localhost:{there.port}", f"localhost:{other.port}")
            refused = await refusal(fetch, there.url())
            assert refused.code == "failed_to_download_image" and "302" in refused.message
        assert other.requests == []


async def test_an_answer_that_is_too_long_is_broken_off() -> None:
    async with host(ok(bytes(1001))) as there:
        assert (await refusal(there.fetch(), there.url())).code == "image_file_too_large"


async def test_an_answer_without_end_is_broken_off() -> None:
    async def drivel(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(100))
            await writer.drain()

    async with host(drivel) as there:
        assert (await refusal(there.fetch(), there.url())).code == "image_file_too_large"


async def test_a_host_that_takes_its_time_is_given_up() -> None:
    async def silence(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-")
        await writer.drain()
        await asyncio.Event().wait()

    async with host(silence) as there:
        refused = await refusal(there.fetch(timeout_s=0.2), there.url())
        assert refused.code == "failed_to_download_image" and "0.2 s" in refused.message


async def test_a_certificate_of_another_name_is_not_believed() -> None:
    async with host(ok(b"secret"), name="other.example") as there:
        refused = await refusal(there.fetch(), there.url())
        assert refused.code == "failed_to_download_image" and there.requests == []


@pytest.mark.parametrize("answer", [b"HTTP/1.1 404 Not Found\r\n\r\n", b"nonsense\r\n\r\n", b""])
async def test_what_is_no_answer_is_a_failure(answer: bytes) -> None:
    async with host(answer) as there:
        assert (await refusal(there.fetch(), there.url())).code == "failed_to_download_image"


async def test_a_name_that_does_not_exist_is_a_failure() -> None:
    fetch = Fetch(frozenset({"nowhere.invalid"}), limit_bytes=1000)
    refused = await refusal(fetch, "https://nowhere.invalid/a.png")
    assert refused.code == "failed_to_download_image"
