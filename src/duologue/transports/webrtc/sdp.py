"""Session descriptions: which offers can be answered, and what a restart of ICE says anew.

offer ─► checked_offer ─► what it asks for, or `Refusal` (C-029)
a further offer ─► checked_restart ─► the peer's new ICE parameters and candidates
the first answer, a connection ─► rerouted ─► the answer to a further offer
"""

from aioice import Candidate, Connection
from aiortc import RTCIceParameters
from aiortc.rtcicetransport import candidate_from_aioice, candidate_to_aioice
from aiortc.sdp import SessionDescription

from duologue.errors import Refusal

CHANNEL = "oai-events"


CANDIDATES_AT_MOST = 100
"""Addresses that an offer may name: each is sent packets, whosever it is, and has to be read."""


def checked_offer(offer: str) -> SessionDescription:
    """An offer of one audio line and one data channel; raises `Refusal` for any other."""
    if offer.count("a=candidate:") > CANDIDATES_AT_MOST:
        raise bad(f"The offer has more than {CANDIDATES_AT_MOST} candidates.")
    try:
        description = SessionDescription.parse(offer)
    except Exception:  # the parser raises whatever it trips over
        raise bad("The body is not an SDP offer that can be read.") from None
    kinds = [media.kind for media in description.media]
    if not kinds:
        raise bad("The body is not an SDP offer: it has no media line.")
    if kinds.count("audio") != 1:
        raise bad("The offer must have exactly one audio line.")
    if kinds.count("application") != 1 or len(kinds) != 2:
        raise bad(
            f"Besides its audio line the offer must have one data channel, named '{CHANNEL}', "
            "and nothing else."
        )
    audio = next(media for media in description.media if media.kind == "audio")
    if not any(codec.mimeType.lower() == "audio/opus" for codec in audio.rtp.codecs):
        raise bad("The offer's audio line must offer Opus.")
    for media in description.media:
        if not (
            media.dtls and media.dtls.fingerprints and media.ice and media.ice.usernameFragment
        ):
            raise bad("The offer must have a DTLS fingerprint and ICE credentials.")
    if len(set(description.group[0].items if description.group else [])) != len(kinds):
        raise bad("The offer must bundle its audio and its data channel.")
    return description


def checked_restart(
    offer: str, former: SessionDescription
) -> tuple[SessionDescription, RTCIceParameters, list[Candidate]]:
    """A further offer of the peer that made `former`, with new ICE credentials, or `Refusal`."""
    description = checked_offer(offer)
    if _identity(description) != _identity(former):
        raise bad("The offer is of another peer connection than the call's; it makes a new call.")
    ice, before = description.media[0].ice, former.media[0].ice
    assert ice and before, "what an offer was checked for"
    if not ice.password or ice.usernameFragment == before.usernameFragment:
        raise bad("The offer must restart ICE: its ICE credentials must be new ones.")
    candidates = [
        candidate_to_aioice(candidate)
        for media in description.media
        for candidate in media.ice_candidates
    ]
    return description, ice, candidates


def rerouted(description: str, connection: Connection) -> str:
    """A description that was sent, with the credentials and candidates of another connection."""
    parsed = SessionDescription.parse(description)
    for media in parsed.media:
        media.ice = RTCIceParameters(
            usernameFragment=connection.local_username, password=connection.local_password
        )
        media.ice_candidates = [candidate_from_aioice(one) for one in connection.local_candidates]
        media.ice_candidates_complete = True
    return str(parsed)


def bad(message: str) -> Refusal:
    """What is wrong with an offer."""
    return Refusal("invalid_offer", message, "sdp")


def _identity(description: SessionDescription) -> list[tuple[str, str, set[tuple[str, str]]]]:
    """What a restart leaves as it is: the lines, and the certificate that DTLS goes by."""
    return [
        (
            media.kind,
            media.rtp.muxId,
            {(one.algorithm.lower(), one.value.upper()) for one in media.dtls.fingerprints},
        )
        for media in description.media
        if media.dtls
    ]
