"""What went wrong upstream, in words that may be shown to a client.

Statuses, transport errors and error objects come in, one `UpstreamFault` comes out. The words
are ours: those of the upstream go to the log alone, without what may be a secret (`told`).
"""

import re
import ssl

import httpx2

from duologue.errors import EngineFault

TOO_LONG = re.compile(
    r"context[ _](?:length|window|size)|max_model_len|too many tokens", re.IGNORECASE
)


class UpstreamFault(EngineFault):
    """A fault of one upstream.

    `elsewhere`: another upstream, or another try, may do better. `down`: this one should not be
    asked before it was looked at; `misfit`: nor, where there is another, for a while, since a look
    would not tell (a key or a model that it does not know). `told` is what the upstream said, for
    the log only; `refuses`: it said so of what it was asked (HTTP 400 or 422); `of_content`:
    something in the conversation may be the reason, other than its length.
    """

    def __init__(
        self,
        message: str,
        code: str = "engine_error",
        *,
        elsewhere: bool = True,
        down: bool = False,
        told: str = "",
    ) -> None:
        super().__init__(message, code)
        self.elsewhere = elsewhere
        self.down = down
        self.told = told
        self.refuses = False
        self.of_content = False
        self.misfit = False


def nonsense(what: str, told: str = "") -> UpstreamFault:
    """The fault of an answer that is not what was asked for."""
    return UpstreamFault(f"The upstream model server {what}.", told=told)


def broke_off() -> UpstreamFault:
    """The fault of an answer that has no end."""
    return UpstreamFault("The upstream model server broke off in the middle.", down=True)


def of_error(told: str) -> UpstreamFault:
    """The fault of an error object in place of an answer, or in the middle of one."""
    if TOO_LONG.search(told):
        message = "The conversation is longer than the upstream model takes."
        return UpstreamFault(message, "context_length_exceeded", elsewhere=False, told=told)
    return nonsense("failed while it answered", told)


def of_status(status: int, told: str) -> UpstreamFault:
    """The fault of an HTTP status that is not 200; `told` is the beginning of the body."""
    fault = _of_status(status, told)
    fault.told = told
    fault.misfit = status in (401, 403, 404)
    fault.refuses = status in (400, 422)
    fault.of_content = status in (400, 413, 415, 422) and not TOO_LONG.search(told)
    return fault


def _of_status(status: int, told: str) -> UpstreamFault:
    code = f"(HTTP {status})"
    if 300 <= status < 400:
        message = f"The upstream model server redirects to another address {code}."
        return UpstreamFault(message, down=True)
    if status in (401, 403):
        message = f"The upstream model server does not accept this server's key {code}."
        return UpstreamFault(message)
    if status == 404:
        message = f"The upstream model server does not know the model or the address {code}."
        return UpstreamFault(message)
    if status == 429:
        message = f"The upstream model server is over its quota {code}."
        return UpstreamFault(message, "rate_limit_exceeded")
    if status == 413 or (status in (400, 422) and TOO_LONG.search(told)):
        message = f"The conversation is longer than the upstream model takes {code}."
        return UpstreamFault(message, "context_length_exceeded", elsewhere=False)
    if status < 500:
        message = f"The upstream model server refuses the request {code}."
        return UpstreamFault(message)
    return UpstreamFault(f"The upstream model server failed {code}.", down=True)


def of_transport(error: Exception, timeout_s: float) -> UpstreamFault:
    """The fault of a connection that could not be made or broke."""
    if isinstance(error, httpx2.ConnectTimeout):
        return UpstreamFault("The upstream model server does not answer calls.", down=True)
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        message = f"The upstream model server said nothing for {timeout_s:g} s."
        return UpstreamFault(message, down=True)
    if _is_certificate(error):
        message = "The certificate of the upstream model server is not valid."
        return UpstreamFault(message, down=True)
    if isinstance(error, httpx2.ConnectError):
        return UpstreamFault("The upstream model server cannot be reached.", down=True)
    return broke_off()


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
