"""The settings of the door: where the server listens, who may come in, and how calls are set up."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

SECRET = {"secret": True}


class DoorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How clients come to the server."""

    # Where it listens and who may come in
    host: Annotated[str, Meta(min_length=1, description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    ] = 8800
    api_key: Annotated[
        str | None,
        Meta(
            description="The key that clients must send. Without one, a key is made at start "
            "and printed once. Not to be given on the command line, where others could read it.",
            extra=SECRET,
        ),
    ] = None
    keys_file: Annotated[
        str | None,
        Meta(
            description="TOML file of further keys with limits of their own; changes to it take "
            "effect within seconds."
        ),
    ] = None
    prompts_dir: Annotated[
        str | None,
        Meta(
            description="Directory of stored prompts, which a client names in `prompt`; changes "
            "to it take effect within seconds, for sessions that begin then."
        ),
    ] = None
    auth_failure: Annotated[
        Literal["inband", "401"],
        Meta(
            description="How a WebSocket with a wrong key is refused: by an `error` event and "
            "close code 3000, or by HTTP 401 at the handshake (for load balancers)."
        ),
    ] = "inband"
    allowed_origins: Annotated[
        str,
        Meta(
            description="Origins of web pages that may connect, with commas between them, or `*`. "
            "Programs that are no browsers are not asked."
        ),
    ] = "*"
    playground: Annotated[
        Literal["open", "key", "off"],
        Meta(
            description="The page at `/`. `open`: in a browser on the server's own machine it "
            "needs no key, where there is an `api_key` or one was made at start; `key`: it always "
            "does; `off`: there is no page."
        ),
    ] = "open"
    tls_certificate: Annotated[
        str | None,
        Meta(description="PEM file of the certificate and its chain. With `tls_key`: TLS."),
    ] = None
    tls_key: Annotated[
        str | None, Meta(description="PEM file of the certificate's key, without a password.")
    ] = None

    # WebRTC calls
    webrtc_hosts: Annotated[
        str,
        Meta(
            description="Addresses of this machine on which calls take their packets, with "
            "commas between them. Empty: all but loopback."
        ),
    ] = ""
    webrtc_ports: Annotated[
        str,
        Meta(
            description="UDP ports of calls, such as `50000-50100`: one for each call and "
            "address. Empty: any that is free."
        ),
    ] = ""
    webrtc_address: Annotated[
        str,
        Meta(
            description="IP address that peers are told in place of this machine's own, where it "
            "stands behind a router or in a container that passes `webrtc_ports` on."
        ),
    ] = ""
    ice_servers: Annotated[
        str,
        Meta(
            description="STUN and TURN servers that the server itself uses for calls, "
            "`stun:HOST:PORT` or `turn:HOST:PORT`, with commas between them. Empty: none."
        ),
    ] = ""
    ice_username: Annotated[str | None, Meta(description="User name at the TURN server.")] = None
    ice_credential: Annotated[
        str | None, Meta(description="Password at the TURN server.", extra=SECRET)
    ] = None
