"""A caller over WebRTC: stock aiortc, a microphone that says what a test wants, ears that note.

async with serving(on_loopback()) as base_url, dial(base_url) as caller:
    await caller.next("session.created")
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import aioice.ice
import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcicetransport import candidate_to_aioice
from aiortc.sdp import SessionDescription

from bad_network import BadNetwork
from duologue.config import ServerConfig
from duologue.transports.webrtc.ice import IcePolicy
from duologue.transports.webrtc.route import Route
from duologue.transports.webrtc.sdp import rerouted
from judging import Judge
from live_server import KEY, http_post, scripted

# aioice leaves loopback out; a test has nothing else that is sure to be there.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"] if use_ipv4 else []

RATE_HZ = 48_000
FRAME = 960
LOUD = 500
SDP = {"Content-Type": "application/sdp"}


def on_loopback(**settings: Any) -> ServerConfig:
    return scripted(webrtc_hosts="127.0.0.1", **settings)


def voice_like(seconds: float) -> bytes:
    """48 kHz mono sound that voice activity by loudness takes for speech."""
    at = np.arange(int(RATE_HZ * seconds)) / RATE_HZ
    wave = np.sin(2 * np.pi * 300 * at) * 8000 * (0.6 + 0.4 * np.sin(2 * np.pi * 5 * at))
    return wave.astype("<i2").tobytes()


class Microphone(MediaStreamTrack):
    """Silence in real time, and what `say` was given in between."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._waiting = bytearray()
        self._frames = 0
        self._start_s: float | None = None

    def say(self, pcm: bytes) -> None:
        self._waiting += pcm

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        if self._start_s is None:
            self._start_s = loop.time()
        await asyncio.sleep(max(0.0, self._start_s + self._frames * 0.02 - loop.time()))
        pcm = bytes(self._waiting[: FRAME * 2])
        del self._waiting[: FRAME * 2]
        frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(pcm + bytes(FRAME * 2 - len(pcm)))
        frame.sample_rate, frame.pts = RATE_HZ, self._frames * FRAME
        frame.time_base = Fraction(1, RATE_HZ)
        self._frames += 1
        return frame


class PeerCaller:
    """One call from the client's side."""

    def __init__(
        self,
        microphone: Microphone | None = None,
        *,
        configuration: RTCConfiguration | None = None,
        channel: str = "oai-events",
    ) -> None:
        policy = IcePolicy(hosts=("127.0.0.1",))
        self.connection = RTCPeerConnection(configuration or RTCConfiguration(iceServers=[]))
        self.microphone = microphone or Microphone()
        self.channel = self.connection.createDataChannel(channel)
        self.call_id = ""
        self.answer = ""
        self.seen: list[dict[str, Any]] = []
        self.heard: list[tuple[float, float]] = []
        """When each frame came, and how loud it was."""
        self.closed = asyncio.Event()
        self._hears = asyncio.Event()
        self._judge = Judge()
        self._messages: asyncio.Queue[str] = asyncio.Queue()
        self._listening: asyncio.Task[None] | None = None
        self.channel.on("message", self._messages.put_nowait)
        self.channel.on("close", self.closed.set)
        self.connection.on("connectionstatechange", self._look)
        sender = self.connection.addTrack(self.microphone)
        self.switched = asyncio.Event()
        """The call has gone over to another way."""
        self.route = Route(
            sender.transport.transport, policy.connection, grace_s=60, held=self._told_of_way
        )
        self.connection.on("track", self._listen)

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def take(self, status: int, headers: dict[str, str], answer: Any) -> None:
        assert status == 201, answer
        assert headers["content-type"].startswith("application/sdp")
        self.call_id, self.answer = headers["location"].rsplit("/", 1)[1], answer
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    def leave_network(self) -> None:
        """From now on nothing comes or goes by the sockets it has, as when a phone moves."""

        async def vanish(*datagram: Any) -> None:
            pass

        for protocol in self.route.current._protocols:
            protocol.send_data = vanish
            protocol.send_stun = protocol.datagram_received = lambda *datagram: None

    def accept_only_from(self, host: str) -> None:
        """Before the offer: a firewall that lets one address through, either way."""
        connection = self.route.current
        stock = connection.gather_candidates

        async def gather() -> None:
            await stock()
            for protocol in connection._protocols:
                _wall_off(protocol, host)

        connection.gather_candidates = gather

    async def restart_offer(self) -> str:
        """An offer that restarts ICE, as a browser's `createOffer({iceRestart: true})`."""
        self.route.ice_controlling = True
        fresh = await self.route.prepare()
        return rerouted(self.connection.localDescription.sdp, fresh)

    async def take_restart(self, status: int, headers: dict[str, str], answer: Any) -> None:
        assert status == 200, answer
        assert headers["content-type"].startswith("application/sdp")
        (media, _) = SessionDescription.parse(answer).media
        candidates = [candidate_to_aioice(one) for one in media.ice_candidates]
        await self.route.switch(media.ice, candidates)

    async def send(self, kind: str, **fields: Any) -> None:
        self.channel.send(json.dumps({"type": kind, **fields}))

    async def receive(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await self._messages.get())
        self._judge(event)
        self.seen.append(event)
        return event

    async def next(self, kind: str) -> dict[str, Any]:
        while (event := await self.receive())["type"] != kind:
            assert event["type"] != "error", event
        return event

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.seen]

    def loud_s(self) -> float:
        """Seconds of loud sound heard so far."""
        return sum(0.02 for _, loudness in self.heard if loudness > LOUD)

    async def until(self, true: Callable[[], bool]) -> None:
        """Until something is true of what was heard."""
        while not true():
            self._hears.clear()
            await self._hears.wait()

    async def close(self) -> None:
        await self.connection.close()
        if self._listening is not None:
            self._listening.cancel()

    def _told_of_way(self, is_held: bool) -> None:
        if not is_held:
            self.switched.set()

    def _look(self) -> None:
        if self.connection.connectionState in ("closed", "failed"):
            self.closed.set()

    def _listen(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.get_running_loop().create_task(self._hear(track))

    async def _hear(self, track: MediaStreamTrack) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                self.heard.append((loop.time(), float(np.abs(frame.to_ndarray()).mean())))
                self._hears.set()
        except MediaStreamError:
            pass


def _wall_off(protocol: Any, host: str) -> None:
    send_data, send_stun, take = (
        protocol.send_data,
        protocol.send_stun,
        protocol.datagram_received,
    )

    async def send(data: bytes, address: tuple[str, int]) -> None:
        if address[0] == host:
            await send_data(data, address)

    protocol.send_data = send
    protocol.send_stun = lambda message, address: (
        send_stun(message, address) if address[0] == host else None
    )
    protocol.datagram_received = lambda data, address: (
        take(data, address) if address[0] == host else None
    )


@asynccontextmanager
async def dial(
    base_url: str,
    *,
    path: str = "/realtime/calls?model=gpt-realtime",
    key: str = KEY,
    network: BadNetwork | None = None,
    microphone: Microphone | None = None,
) -> AsyncIterator[PeerCaller]:
    """A call that was answered; it is hung up at the end. Its packets go through `network`."""
    caller = PeerCaller(microphone)
    try:
        offer = await caller.offer()
        if network is not None:
            offer = network.offer(offer)
        status, headers, answer = await http_post(base_url + path, offer.encode(), key, headers=SDP)
        if network is not None and status == 201:
            answer = network.answer(answer)
        await caller.take(status, headers, answer)
        yield caller
    finally:
        await caller.close()
