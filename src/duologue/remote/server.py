"""A server that is one part of the engine: a setting in, requests to it out, faults in words.

    "https://host/v1#model" ──parse──► Address ──► RemoteServer ──► AsyncOpenAI

Whatever goes wrong over there (it is absent, slow, refuses, answers nonsense) becomes one
`EngineFault` that says what, in words fit for a client (`told.py`): without any key, without an
address. The log says the address. Redirects are not followed: a key goes nowhere but where it
was meant to go.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx2
import openai
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from duologue.errors import ConfigFault, EngineFault
from duologue.remote.address import parse
from duologue.remote.told import MOST_READ, told

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

CONNECT_S = 5.0
ANSWER_S = 60.0
"""Silence after which a server is given up: a long prompt on a slow machine takes a while."""

CONNECTIONS = 1000
TOO_LONG = re.compile(
    r"(?i)context[ _-]?(?:length|window|size)|max(?:imum)?_model_len|maximum (?:model|input) length"
    r"|(?:input|prompt|request)(?: is)? too (?:long|large)|too many (?:input )?tokens"
)
"""How the hosted API, vLLM, llama.cpp and SGLang say that a conversation is too long."""


class RemoteServer:
    """One server and the model there. `what` names it to people: "the language model's server".

    `setting` is the setting that it stands in; its key is in `setting`_key. After `answer_s`
    of silence it is given up.
    """

    def __init__(
        self,
        spec: str,
        setting: str,
        what: str,
        key: str | None = None,
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        self.address = parse(spec, setting)
        self.what = what
        self._setting = setting
        self.answer_s = answer_s
        self._key = key or ""
        if not _fits_a_header(self._key):
            raise ConfigFault(f"{setting}_key: holds signs that no HTTP header can carry")
        self.client = AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self.address.base_url,
            max_retries=0,
            http_client=DefaultAsyncHttpxClient(**_transport(answer_s)),
        )
        _forget_environment(self.client)

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Around everything that is asked of the server: its faults become `EngineFault`."""
        try:
            yield
        except (openai.APITimeoutError, httpx2.TimeoutException, TimeoutError):
            raise self.fault(f"did not answer within {self.answer_s:g} s") from None
        except openai.APIConnectionError as error:
            if _is_certificate(error):
                raise self.fault("has a certificate that is not valid") from None
            raise self.fault(f"cannot be reached, or broke off ({_cause(error)})") from None
        except openai.APIStatusError as error:
            raise self._refused(error) from None
        except openai.APIError as error:
            raise self.fault(f"reported: {error.message}", _code(None, error)) from None
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise self.fault(f"broke off ({type(error).__name__})") from None
        except RecursionError:
            raise self.fault("answered nonsense (JSON that is nested too deeply)") from None
        except ValueError as error:  # JSON that is none, or of another shape
            raise self.fault(f"answered nonsense ({error})") from None

    async def asked(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """What `ask` gives; it is called again where a connection that was kept had gone stale."""
        try:
            return await ask()
        except openai.APITimeoutError:
            raise
        except openai.APIConnectionError:
            return await ask()

    def fault(self, message: str, code: str | None = None) -> EngineFault:
        """The fault of this server, in words that may be shown; the log says where it is."""
        message = told(message, self._key)
        log.warning("%s (%s) %s", self.what, self.address.base_url, message)
        return EngineFault(f"{self.what} {message}", *([code] if code else []))

    def check_type(self, response: httpx2.Response, wanted: str) -> None:
        """Raise `EngineFault` unless the answer is of a media type (or its beginning)."""
        found = media_type(response)
        if not found.startswith(wanted):
            raise self.fault(f"answered {found or 'something'} in place of {wanted}")

    async def aclose(self) -> None:
        """Close the connections."""
        await self.client.close()

    def _refused(self, error: openai.APIStatusError) -> EngineFault:
        status = error.status_code
        said = _said(error)
        if 300 <= status < 400:
            return self.fault(f"answered with a redirect ({status}), which is not followed")
        if status in (401, 403):  # what it says of the key is nobody's business
            return self.fault(f"refused the key in {self._setting}_key ({status})")
        if status == 404:
            return self.fault(f"has no such model, or nothing at that address (404): {said}")
        if status == 429:
            return self.fault(f"is over its quota or too busy (429): {said}", _code(429, error))
        return self.fault(f"refused ({status}): {said}", _code(status, error))


def media_type(response: httpx2.Response) -> str:
    """What an answer says it is, without parameters."""
    kind: str = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower()


def _fits_a_header(key: str) -> bool:
    """Whether a key can be sent; a line's end is easily read into one from a file."""
    return key.isascii() and key.isprintable() and key == key.strip()


def _forget_environment(client: AsyncOpenAI) -> None:
    """What the SDK took from the environment is meant for other servers than this one."""
    client.organization = client.project = None
    client._custom_headers = {}


def _transport(answer_s: float) -> dict[str, Any]:
    return {
        "follow_redirects": False,
        "trust_env": False,  # no proxy and no .netrc that the settings do not name
        "verify": httpx2.create_ssl_context(),  # of the environment, authorities alone count
        "timeout": httpx2.Timeout(answer_s, connect=CONNECT_S),
        "limits": httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
    }


def _code(status: int | None, error: openai.APIError) -> str | None:
    """The protocol's code for what has one; `status` None is an error within an answer."""
    kinds = {str(kind) for kind in (status, error.code, error.type)}
    if kinds & {"429", "rate_limit_exceeded", "insufficient_quota", "rate_limit_error"}:
        return "rate_limit_exceeded"
    is_refusal = status in (None, 400, 422)
    if kinds & {"413", "context_length_exceeded", "exceed_context_size_error"} or (
        is_refusal and TOO_LONG.search(error.message[:MOST_READ])
    ):
        return "context_length_exceeded"
    return None


def _said(error: openai.APIStatusError) -> str:
    """What a refusal says of itself."""
    if isinstance(error.body, dict) and isinstance(error.body.get("message"), str):
        return str(error.body["message"])
    if "html" in error.response.headers.get("content-type", ""):
        return "a page of HTML"
    return error.message


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _cause(error: BaseException) -> str:
    cause = error.__cause__ or error
    return type(cause).__name__
