"""A bad network between a caller and the server: a UDP relay that loses, delays and doubles.

    caller ◄──► [relay: `up`, `down`] ◄──► server

Both sides see the relay's sockets as the other side: the addresses in offer and answer are
replaced. What happens to a packet is drawn from a seed, in the order in which packets come.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

Address = tuple[str, int]

CANDIDATE = re.compile(r"^(a=candidate:\S+ \d+ udp \d+) (\S+) (\d+) typ", re.MULTILINE | re.I)


@dataclass(frozen=True)
class Weather:
    """What a network does to packets; the chances are of each packet by itself."""

    loss: float = 0.0
    burst: int = 1
    """How many in a row are lost when one is."""
    delay_s: float = 0.0
    jitter_s: float = 0.0
    """Up to so much more, which reorders what is closer together."""
    late: float = 0.0
    late_s: float = 0.030
    """Some are held up for so long, while the others go on."""
    twice: float = 0.0


class Way:
    """One direction. `send` is set once the other side's address is known."""

    def __init__(self, seed: int) -> None:
        self.weather = Weather()
        self.passed = self.lost = 0
        self.transport: asyncio.DatagramTransport | None = None
        self.to: Address | None = None
        self._random = Random(seed)
        self._to_lose = 0
        self._out_until_s = 0.0

    def outage(self, seconds: float) -> None:
        """Let nothing through for a while."""
        self._out_until_s = asyncio.get_running_loop().time() + seconds

    def carry(self, packet: bytes) -> None:
        loop, weather, random = asyncio.get_running_loop(), self.weather, self._random
        if random.random() < weather.loss:
            self._to_lose = weather.burst
        delays_s = [weather.delay_s + random.random() * weather.jitter_s]
        if random.random() < weather.late:
            delays_s[0] += weather.late_s
        if random.random() < weather.twice:
            delays_s.append(delays_s[0] + random.random() * 0.010)
        if self._to_lose or loop.time() < self._out_until_s:
            self._to_lose = max(0, self._to_lose - 1)
            self.lost += 1
            return
        for delay_s in delays_s:
            if delay_s:
                loop.call_later(delay_s, self.send, packet)
            else:
                self.send(packet)

    def send(self, packet: bytes) -> None:
        self.passed += 1
        if self.to and self.transport and not self.transport.is_closing():
            self.transport.sendto(packet, self.to)


class BadNetwork:
    """The relay of one call."""

    def __init__(self, seed: int = 1) -> None:
        self.up, self.down = Way(seed), Way(seed + 1)

    @property
    def lost(self) -> int:
        return self.up.lost + self.down.lost

    def turn(self, weather: Weather) -> None:
        """From now on both ways are like this."""
        self.up.weather = self.down.weather = weather

    def outage(self, seconds: float) -> None:
        """Let nothing through for a while, either way."""
        self.up.outage(seconds)
        self.down.outage(seconds)

    def litter(self, count: int) -> None:
        """Send the server garbage that looks like STUN, DTLS, RTP and nothing, as if from the peer.

        The lengths go from one byte up; an empty datagram would end a stock aiortc peer.
        """
        random = Random(count)
        for number in range(count):
            first = (0x00, 0x01, 0x16, 0x17, 0x80, 0x90, 0xFF)[number % 7]
            rest = random.randbytes(number * 17 % 1200)
            self.up.send(bytes((first,)) + rest)

    def offer(self, sdp: str) -> str:
        """The caller's offer as the server is to see it."""
        self.down.to, sdp = self._through(sdp, self.up)
        return sdp

    def answer(self, sdp: str) -> str:
        """The server's answer as the caller is to see it."""
        self.up.to, sdp = self._through(sdp, self.down)
        return sdp

    @staticmethod
    def _through(sdp: str, way: Way) -> tuple[Address, str]:
        # Callers offer an address for each line, and the bundle uses that of the first.
        first = CANDIDATE.search(sdp)
        assert first and way.transport, sdp
        host, port = way.transport.get_extra_info("sockname")[:2]
        shown = CANDIDATE.sub(rf"\g<1> {host} {port} typ", sdp)
        return (first[2], int(first[3])), shown


class _Side(asyncio.DatagramProtocol):
    def __init__(self, onward: Way) -> None:
        self._onward = onward

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._onward.carry(data)


@asynccontextmanager
async def bad_network(seed: int = 1) -> AsyncIterator[BadNetwork]:
    """A relay, at first without any fault."""
    network = BadNetwork(seed)
    loop = asyncio.get_running_loop()
    # What the caller sends comes in at `near` and leaves at `far`.
    near, _ = await loop.create_datagram_endpoint(
        lambda: _Side(network.up), local_addr=("127.0.0.1", 0)
    )
    far, _ = await loop.create_datagram_endpoint(
        lambda: _Side(network.down), local_addr=("127.0.0.1", 0)
    )
    network.up.transport, network.down.transport = far, near
    try:
        yield network
    finally:
        near.close()
        far.close()
