"""A part's server: what it is sent, and what is taken from the environment (nothing)."""

import json

import pytest
from openai import AsyncStream
from openai.types.chat import ChatCompletion

from duologue.errors import ConfigFault, EngineFault
from duologue.remote.server import RemoteServer
from engines.remote.stand_in import KEY, Answer, stand_in

ENVIRONMENT = {
    "OPENAI_API_KEY": "sk-env-secret",
    "OPENAI_ADMIN_KEY": "sk-admin-env-secret",
    "OPENAI_ORG_ID": "org-env-secret",
    "OPENAI_PROJECT_ID": "proj-env-secret",
    "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer env-secret\nX-Other: env-secret",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/env-secret",
    **dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9"),
}


@pytest.mark.parametrize("key", [KEY, None])
async def test_what_the_environment_means_for_others_is_not_sent_and_no_proxy_is_asked(
    key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    answer = Answer(b"{}", kind="application/json")
    async with stand_in(answer) as upstream:
        server = RemoteServer(upstream.url, "llm", "the language model's server", key)
        with server.faults():
            await server.client.post("/chat/completions", cast_to=ChatCompletion, body={})
        await server.aclose()
    (head,) = upstream.headers
    assert "env-secret" not in head and "openai-" not in head.lower()
    assert f"authorization: bearer {key or 'none'}\r\n" in head.lower()


@pytest.mark.parametrize("key", ["sk-secret\n", " sk-secret", "sk-sec\rret", "sk-ключ-secret"])
def test_a_key_that_no_header_can_carry_is_found_at_the_start(key: str) -> None:
    with pytest.raises(ConfigFault, match="^stt_key: ") as fault:
        RemoteServer("http://host/v1#m", "stt", "the recognition server", key)
    assert "secret" not in str(fault.value)


def refusal(status: str, **error: object) -> Answer:
    body = json.dumps({"error": error}).encode()
    return Answer(body, status=status, kind="application/json")


def in_stream(**error: object) -> Answer:
    return Answer(b"data: " + json.dumps({"error": error}).encode() + b"\n\n")


LLAMA = "the request exceeds the available context size (4096 tokens), try increasing it"
VLLM = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refusal("429 Slow", message="slow down"), "rate_limit_exceeded"),
        (
            refusal("429 Slow", message="no credit", code="insufficient_quota"),
            "rate_limit_exceeded",
        ),
        (refusal("400 No", message="x", code="context_length_exceeded"), "context_length_exceeded"),
        (refusal("400 No", message=VLLM, code=400), "context_length_exceeded"),
        (
            refusal("400 No", message=LLAMA, type="exceed_context_size_error"),
            "context_length_exceeded",
        ),
        (refusal("422 No", message="The prompt is too long"), "context_length_exceeded"),
        (refusal("413 Big", message="no"), "context_length_exceeded"),
        (refusal("500 No", message=f"while handling: {VLLM}"), "engine_error"),
        (refusal("400 No", message="bad temperature"), "engine_error"),
        (in_stream(message=VLLM), "context_length_exceeded"),
        (in_stream(message="slow down", code=429), "rate_limit_exceeded"),
        (in_stream(message="out of memory"), "engine_error"),
    ],
)
async def test_a_fault_has_the_protocols_code(answer: Answer, code: str) -> None:
    async with stand_in(answer) as upstream:
        server = RemoteServer(upstream.url, "llm", "the language model's server")
        with pytest.raises(EngineFault) as fault, server.faults():
            chunks = await server.client.post(
                "/chat/completions",
                cast_to=object,
                body={},
                stream=True,
                stream_cls=AsyncStream[object],
            )
            async for _ in chunks:
                pass
        await server.aclose()
    assert fault.value.code == code
