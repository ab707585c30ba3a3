"""Where calls listen: addresses, ports, what peers are told, and settings that cannot be."""

import asyncio

import pytest
from aioice import Connection, stun

from duologue.errors import ConfigFault
from duologue.transports.webrtc.ice import IcePolicy, ice_policy, narrow


async def gathered(policy: IcePolicy) -> tuple[Connection, list[tuple[str, int]]]:
    connection = Connection(ice_controlling=False)
    narrow(connection, policy)
    await connection.gather_candidates()
    return connection, [(one.host, one.port) for one in connection.local_candidates]


async def test_candidates_are_of_the_hosts_and_ports_that_were_set() -> None:
    policy = IcePolicy(hosts=("127.0.0.1",), ports=(52310, 52312))
    connections = []
    ports = set()
    for _ in range(3):
        connection, ((host, port),) = await gathered(policy)
        assert host == "127.0.0.1"
        connections.append(connection)
        ports.add(port)
    assert ports == {52310, 52311, 52312}
    connection, none = await gathered(policy)  # every port is taken
    assert none == []
    for one in (*connections, connection):
        await one.close()


async def test_peers_are_told_the_advertised_address() -> None:
    policy = IcePolicy(hosts=("127.0.0.1",), advertised="203.0.113.5")
    connection, ((host, port),) = await gathered(policy)
    assert host == "203.0.113.5"
    (protocol,) = connection._protocols
    assert protocol.transport.get_extra_info("sockname") == ("127.0.0.1", port)
    await connection.close()


class BadServer(asyncio.DatagramProtocol):
    """A STUN server that answers every request, and never with an address."""

    def __init__(self, answer: stun.Class) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        asked = stun.parse_message(data)
        reply = stun.Message(asked.message_method, self._answer, asked.transaction_id)
        if self._answer == stun.Class.ERROR:
            reply.attributes["ERROR-CODE"] = (500, "out of order")
        self._transport.sendto(bytes(reply), addr)


@pytest.mark.parametrize("answer", [stun.Class.ERROR, stun.Class.RESPONSE])
@pytest.mark.parametrize("kind", ["stun", "turn"])
async def test_a_server_that_tells_nothing_is_named_in_the_log(
    kind: str, answer: stun.Class, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: BadServer(answer), local_addr=("127.0.0.1", 0)
    )
    server = transport.get_extra_info("sockname")
    connection = Connection(ice_controlling=False, **{f"{kind}_server": server})
    narrow(connection, IcePolicy(hosts=("127.0.0.1",)))
    try:
        await connection.gather_candidates()
        assert [one.type for one in connection.local_candidates] == ["host"]
        (said,) = (one.getMessage() for one in caplog.records if one.levelname == "WARNING")
        assert f"{kind.upper()} server 127.0.0.1:{server[1]} " in said
        assert ("out of order" in said) == (kind == "stun" and answer == stun.Class.ERROR)
    finally:
        await connection.close()
        transport.close()


def test_no_server_is_asked_by_default() -> None:
    policy = ice_policy("", None, None, "", "", "")
    assert policy == IcePolicy()
    assert policy.configuration().iceServers == []


def test_servers_and_lists_are_read() -> None:
    policy = ice_policy("stun:a:1, turn:b:2", "me", "pw", "10.0.0.1, 10.0.0.2", "5000-5010", " x ")
    assert policy.servers == ("stun:a:1", "turn:b:2")
    assert (policy.hosts, policy.ports) == (("10.0.0.1", "10.0.0.2"), (5000, 5010))
    assert policy.advertised == "x"


@pytest.mark.parametrize("ports", ["5000", "0-5", "9-5", "a-b", "1-70000"])
def test_ports_that_are_no_range_are_named(ports: str) -> None:
    with pytest.raises(ConfigFault, match="webrtc_ports"):
        ice_policy("", None, None, "", ports, "")


def test_a_server_that_is_none_is_named() -> None:
    with pytest.raises(ConfigFault, match="ice_servers"):
        ice_policy("https://example.com", None, None, "", "", "")
