"""The setting of a part on another server: `URL#MODEL` in, where it is and what it is out."""

from urllib.parse import urlsplit

import msgspec

from duologue.errors import ConfigFault


class Address(msgspec.Struct, frozen=True):
    """Where a part is: the base URL that SDKs take, and the name of the model there."""

    base_url: str
    model: str


def is_remote(spec: str) -> bool:
    """Whether the setting of a model means one on another server."""
    return spec.startswith(("http://", "https://"))


def parse(spec: str, setting: str) -> Address:
    """The address in `URL#MODEL`; `setting` is its name. Raises `ConfigFault`."""
    try:
        parts = urlsplit(spec)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or not spec.isprintable() or " " in spec:
        raise ConfigFault(f"{setting}: {_shown(spec)} is no URL; allowed: http(s)://host/v1#MODEL")
    if parts.username is not None:  # never shown: it is a secret in the wrong place
        raise ConfigFault(f"{setting}: a URL with a password is not allowed; set {setting}_key")
    if parts.query:
        raise ConfigFault(f"{setting}: {_shown(spec)} has a query, which is not allowed")
    if not parts.fragment:
        raise ConfigFault(f"{setting}: {_shown(spec)} names no model; allowed: URL#MODEL")
    return Address(parts._replace(fragment="").geturl().rstrip("/"), parts.fragment)


def _shown(spec: str) -> str:
    """A URL without what may be a secret in it."""
    head, at, rest = spec.rpartition("@")
    return repr(f"…@{rest}" if at and head else spec)
