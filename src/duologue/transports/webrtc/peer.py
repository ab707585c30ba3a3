"""The peer: one aiortc connection, made from an offer, until it is gone.

    offer ─► answer        RTP ─► Inbound        channel `oai-events` ─► messages
                           Voice ─► RTP          send ─► channel

Only this module, `sdp`, `route`, `rtp_out` and `ice` know aiortc. What they replace there they
replace on this one connection: the receiver's jitter buffer, the sender's task, the gathering of
candidates, and the ICE connection by a route that can be restarted.
"""

import asyncio
import logging
from collections.abc import Callable

from aiortc import RTCDataChannel, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.sdp import SessionDescription

from duologue.errors import EngineBusy, Refusal
from duologue.transports.webrtc.ice import IcePolicy, narrow
from duologue.transports.webrtc.inbound import Inbound
from duologue.transports.webrtc.pacer import Voice
from duologue.transports.webrtc.route import Route
from duologue.transports.webrtc.rtp_out import RtpOut
from duologue.transports.webrtc.sdp import CHANNEL, bad, checked_offer, checked_restart, rerouted

logger = logging.getLogger(__name__)

MESSAGES_AT_MOST = 1024
"""Events of the client that may wait; the channel has no way to hold a client back."""

UNSENT_BYTES = 1024 * 1024
"""With so much unsent on the channel the next event waits."""

JITTER_BUFFER = "_RTCRtpReceiver__jitter_buffer"
"""What aiortc's receiver hands its packets to; it decodes what comes out, and nothing does.

The name is that of the pinned version; every test of a call would fail if it were another.
"""

CLOSE_S = 5.0
FLUSH_S = 1.0

OPUS = [codec for codec in RTCRtpSender.getCapabilities("audio").codecs if "opus" in codec.mimeType]


def _is_gone(state: str) -> bool:
    return state in ("failed", "closed")


class Peer:
    """`opened` once the channel is open, `gone` once nothing more can come or go.

    When there is no way to it any more, it is gone unless a restart comes within `grace_s`.
    """

    def __init__(
        self, voice: Voice, inbound: Inbound, policy: IcePolicy, grace_s: float = 0.0
    ) -> None:
        self.opened = asyncio.Event()
        self.gone = asyncio.Event()
        self.messages: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        """What the client sent; None when there will be no more."""
        self.flooded = False
        """Whether the client sent more than could be taken in."""
        self._is_held = False
        self._held: Callable[[bool], None] = lambda is_held: None
        self._policy = policy
        self._grace_s = grace_s
        self._route: Route | None = None
        self._offered: SessionDescription | None = None
        """The last offer that was answered."""
        self._restarting = asyncio.Lock()
        self._voice = voice
        self._inbound = inbound
        self._channel: RTCDataChannel | None = None
        self._drained = asyncio.Event()
        self._connection = RTCPeerConnection(policy.configuration())
        self._connection.on("datachannel", self._take_channel)
        self._connection.on("connectionstatechange", self._look)

    async def answer(self, offer: str) -> str:
        """The SDP that answers an offer, with all candidates. Raises `Refusal`."""
        offered = checked_offer(offer)
        connection = self._connection
        connection.addTrack(self._voice)
        (transceiver,) = connection.getTransceivers()
        transceiver.setCodecPreferences(OPUS)
        try:
            await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            if not transceiver.mid or transceiver.direction == "inactive":
                raise bad("The offer's audio cannot be answered.")
            setattr(transceiver.receiver, JITTER_BUFFER, self._inbound)
            transport = transceiver.receiver.transport.transport
            narrow(transport._connection, self._policy)
            self._route = Route(
                transport, self._policy.connection, grace_s=self._grace_s, held=self._hold
            )
            await connection.setLocalDescription(await connection.createAnswer())
            self._voice.send_by(RtpOut(transceiver))
        except Refusal:
            raise
        except Exception as fault:  # the library raises whatever it trips over in an offer
            logger.info("an offer could not be answered: %s", type(fault).__name__)
            raise bad("The offer cannot be answered: it must offer Opus over DTLS-SRTP.") from None
        self._offered = offered
        return str(connection.localDescription.sdp)

    async def restart(self, offer: str) -> str:
        """The SDP that answers an offer to restart ICE. Raises `Refusal` and `EngineBusy`.

        Keys, streams and channel stay as they are. Until the peer is reached on the new way the
        old one goes on, if it can.
        """
        async with self._restarting:
            route, former = self._route, self._offered
            if route is None or former is None or route.over or not self.opened.is_set():
                raise Refusal("call_not_connected", "The call is not connected.", "call_id")
            offered, ice, candidates = checked_restart(offer, former)
            fresh = await route.prepare()
            if not fresh.local_candidates:
                raise EngineBusy("No port is free for another way; see the setting `webrtc_ports`.")
            await route.switch(ice, candidates)
            self._offered = offered
            return rerouted(self._connection.localDescription.sdp, fresh)

    def watch(self, held: Callable[[bool], None]) -> None:
        """Have `held` called with True where there is no way to it, with False once there is."""
        self._held = held
        if self._is_held:
            held(True)

    async def send(self, text: str) -> bool:
        """Send an event; waits while much is unsent. False when it is too long for the client."""
        channel = self._channel
        if channel is None or channel.readyState != "open":
            return True
        try:
            channel.send(text)
        except ValueError:
            return False
        if channel.bufferedAmount > UNSENT_BYTES:
            await self._drain()
        return True

    async def flush(self) -> None:
        """Wait, not long, until the client has been sent everything."""
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._drain()
        except TimeoutError:
            pass

    def give_up(self) -> None:
        """Wait for it no longer."""
        self._end()

    async def close(self) -> None:
        """End the connection and let go of its sockets."""
        self._voice.stop()
        self._end()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._connection.close()
        except Exception:
            logger.exception("a call's connection did not close")

    async def _drain(self) -> None:
        while (
            self._channel is not None
            and self._channel.readyState == "open"
            and self._channel.bufferedAmount > 0
            and not self.gone.is_set()
        ):
            self._drained.clear()
            await self._drained.wait()

    def _hold(self, is_held: bool) -> None:
        if is_held != self._is_held:
            self._is_held = is_held
            self._voice.hold(is_held)
            self._held(is_held)

    def _take_channel(self, channel: RTCDataChannel) -> None:
        if channel.label != CHANNEL or self._channel is not None:
            return
        self._channel = channel
        channel.on("message", self._take_message)
        channel.on("close", self._end)
        channel.on("bufferedamountlow", self._drained.set)
        self.opened.set()

    def _take_message(self, message: str | bytes) -> None:
        if self.messages.qsize() >= MESSAGES_AT_MOST:
            self.flooded = True
            self._end()
        elif not self.gone.is_set():
            self.messages.put_nowait(message)

    def _look(self) -> None:
        if _is_gone(self._connection.connectionState):
            self._end()

    def _end(self) -> None:
        if not self.gone.is_set():
            self.gone.set()
            self.messages.put_nowait(None)
            self._inbound.end()
        self._drained.set()
