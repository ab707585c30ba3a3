"""Where a call listens: addresses, a port range, an advertised address, STUN and TURN.

aioice binds ephemeral ports on every address but loopback. For firewalls and containers the
host candidates are gathered here instead, by an override on the one connection; everything
else of ICE is the library's. No server is ever asked that the owner did not name.
"""

import asyncio
import logging
import random  # noqa: TID251 - which port is tried first; nothing else hangs on it
from collections.abc import Iterator

import aioice.ice
import msgspec
from aioice import Candidate, Connection, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol, server_reflexive_candidate
from aiortc import RTCConfiguration, RTCIceServer
from aiortc.rtcicetransport import connection_kwargs, parse_stun_turn_uri

from duologue.errors import ConfigFault

logger = logging.getLogger(__name__)

ADDRESSES_AT_MOST = 16

SERVER_S = 3
"""How long a STUN or TURN server may take: so long an answer waits for one that is not there."""

aioice.ice.CONSENT_INTERVAL = 2
aioice.ice.CONSENT_FAILURES = 5
"""A peer that has vanished is given up after some 12 s, and not after 33 (RFC 7675 allows 30)."""


class IcePolicy(msgspec.Struct, frozen=True):
    """`hosts` empty: every address but loopback. `ports` None: any. `advertised` None: as bound."""

    servers: tuple[str, ...] = ()
    username: str | None = None
    credential: str | None = None
    hosts: tuple[str, ...] = ()
    ports: tuple[int, int] | None = None
    advertised: str | None = None

    def configuration(self) -> RTCConfiguration:
        """aiortc's configuration: its own default would ask a public server."""
        return RTCConfiguration(iceServers=self._servers())

    def connection(self) -> Connection:
        """A further connection, such as aiortc makes the first one of a peer."""
        connection = Connection(ice_controlling=False, **connection_kwargs(self._servers()))
        narrow(connection, self)
        return connection

    def _servers(self) -> list[RTCIceServer]:
        return [RTCIceServer(url, self.username, self.credential) for url in self.servers]


def ice_policy(
    servers: str, username: str | None, credential: str | None, hosts: str, ports: str, address: str
) -> IcePolicy:
    """A policy from settings, lists with commas between; raises `ConfigFault`."""
    urls = _listed(servers)
    for url in urls:
        try:
            parse_stun_turn_uri(url)
        except ValueError:
            raise ConfigFault(
                f"ice_servers: {url!r} is no server; allowed: stun:HOST:PORT, turn:HOST:PORT, "
                "with commas between them"
            ) from None
    return IcePolicy(
        urls, username, credential, _listed(hosts), _port_range(ports), address.strip() or None
    )


def _listed(setting: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in setting.split(",") if one.strip())


def _port_range(setting: str) -> tuple[int, int] | None:
    if not setting.strip():
        return None
    low, _, high = setting.partition("-")
    try:
        first, last = int(low), int(high)
    except ValueError:
        first, last = 0, 0
    if not 0 < first <= last < 65536:
        raise ConfigFault(
            f"webrtc_ports: {setting!r} is no range of ports; allowed: such as 50000-50100"
        )
    return first, last


def narrow(connection: Connection, policy: IcePolicy) -> None:
    """Have a connection gather its candidates as the policy says."""
    stock = connection.get_component_candidates

    async def gather(component: int, addresses: list[str], timeout: int = 5) -> list[Candidate]:
        hosts = list(policy.hosts) or addresses
        own = await _bind(connection, component, hosts[:ADDRESSES_AT_MOST], policy.ports)
        asked = None if policy.advertised else connection.stun_server
        reflexive, relayed = await asyncio.gather(
            _reflexive(own, asked) if asked else _none(),
            stock(component, [], SERVER_S),  # with no address left: TURN alone
        )
        if connection.turn_server and not relayed:
            logger.warning("the TURN server %s:%d gave no relay", *connection.turn_server)
        shown = [_advertised(one.local_candidate, policy) for one in own]
        return shown + reflexive + relayed

    connection.get_component_candidates = gather  # type: ignore[method-assign]


async def _bind(
    connection: Connection, component: int, hosts: list[str], ports: tuple[int, int] | None
) -> list[StunProtocol]:
    bound: list[StunProtocol] = []
    for host in hosts:
        protocol = await _bind_one(connection, host, ports)
        if protocol is None:
            continue
        name, port = protocol.transport.get_extra_info("sockname")[:2]
        protocol.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", name),
            component=component,
            transport="udp",
            priority=candidate_priority(component, "host"),
            host=name,
            port=port,
            type="host",
        )
        bound.append(protocol)
    connection._protocols += bound
    return bound


async def _bind_one(
    connection: Connection, host: str, ports: tuple[int, int] | None
) -> StunProtocol | None:
    loop = asyncio.get_running_loop()
    for port in _tried(ports):
        try:
            _, protocol = await loop.create_datagram_endpoint(
                lambda: StunProtocol(connection), local_addr=(host, port)
            )
        except OSError:
            continue  # taken by another call, or an address that cannot be bound
        return protocol
    return None


def _tried(ports: tuple[int, int] | None) -> Iterator[int]:
    """The ports of a range, each once, from a random one on."""
    if ports is None:
        yield 0
        return
    first, last = ports
    count = last - first + 1
    start = random.randrange(count)
    for step in range(count):
        yield first + (start + step) % count


async def _none() -> list[Candidate]:
    return []


async def _reflexive(own: list[StunProtocol], server: tuple[str, int]) -> list[Candidate]:
    async def one(protocol: StunProtocol) -> Candidate | None:
        try:
            async with asyncio.timeout(SERVER_S):
                candidate, _ = await server_reflexive_candidate(protocol, server)
                return candidate
        except (OSError, TimeoutError, stun.TransactionError, KeyError) as fault:
            # This address has no candidate of that kind; the others may have.
            logger.warning(
                "the STUN server %s:%d told no address for %s: %s",
                *server,
                protocol.local_candidate.host,
                str(fault) or "no answer",
            )
            return None

    with_v4 = [protocol for protocol in own if ":" not in protocol.local_candidate.host]
    found = await asyncio.gather(*map(one, with_v4))
    return [candidate for candidate in found if candidate is not None]


def _advertised(candidate: Candidate, policy: IcePolicy) -> Candidate:
    if policy.advertised is None or ":" in candidate.host:
        return candidate
    return Candidate(
        foundation=candidate.foundation,
        component=candidate.component,
        transport=candidate.transport,
        priority=candidate.priority,
        host=policy.advertised,
        port=candidate.port,
        type="host",
    )
