"""TLS by two settings: a certificate and its key go in, what the socket needs comes out.

Everything that can be wrong with them is said before any weights are loaded.
"""

import ssl
from pathlib import Path

from duologue.config import ServerConfig
from duologue.errors import ConfigFault


def tls_context(config: ServerConfig) -> ssl.SSLContext | None:
    """The context to serve with, None for plain HTTP; raises `ConfigFault`."""
    certificate, key = config.tls_certificate, config.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        given, missing = ("tls_key", "tls_certificate")
        if key is None:
            given, missing = missing, given
        raise ConfigFault(f"{missing}: is needed beside {given}")
    certificate = _readable("tls_certificate", certificate)
    key = _readable("tls_key", key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # A password, so that an encrypted key is refused and nobody is asked at the terminal.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as fault:
        reason = (fault.reason or str(fault)).lower().replace("_", " ")
        raise ConfigFault(
            f"tls_certificate, tls_key: {certificate} and {key} cannot be used together: {reason}"
        ) from None
    return context


def _readable(setting: str, path: str) -> str:
    whole = Path(path).expanduser()
    try:
        whole.read_bytes()
    except OSError as fault:
        raise ConfigFault(f"{setting}: {path} cannot be read: {fault.strerror}") from None
    return str(whole)
