"""What is told of another server's words: no key of anybody, no address of the owner's network."""

import pytest

from duologue.remote.told import MOST_CHARACTERS, told

SECRETS = [
    "Incorrect API key provided: sk-proj-OTHERSECRET99. You can find it in your settings.",
    "Incorrect API key provided: sk-pr***************CRET.",
    "Incorrect API key provided: plainsecret",
    "invalid header Authorization: Bearer hf_OTHERSECRETTOKEN",
    "headers={'Authorization': 'Bearer secretsecret', 'X': 'y'}",
    'headers={"x-api-key": "secretsecret"}',
    "bearer secretsecret was refused",
    "Authorization: Basic c2VjcmV0OnNlY3JldA==",
    "Rate limit reached in organization org-SECRETORG on tokens per min",
    "Rate limit reached in organization org-secret1org on tokens per min",
    "project proj_Secret77 has no credit",
    "backend key-OTHERSECRET died",
    "ek_secret1234 has expired",
    "gsk_secret1234 and xai-secret1234 and nvapi-secret1234",
    "AIzaSecretSecretSecretSecretSecret is bad",
    "AKIASECRETSECRET1234 is bad",
    "token eyJzZWNyZXQiOiJ4In0.eyJzZWNyZXQ.secret",
    "id secret4f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c failed",
    "POST https://api.example.com/v1/chat?key=secretsecret&x=1 failed",
    "POST https://user:secretsecret@api.example.com/v1 failed",
    "cannot reach http://10.1.2.3:4000/secret",
    "cannot reach http://gpu-box:8000/secret",
    "cannot reach http://secret.internal:8000/v1",
    "cannot reach http://[fd00::secret]:8000/v1",
    "cannot reach ws://127.0.0.1:9/secret?x",
    "HTTPConnectionPool(host='secret-box', port=8000): Max retries exceeded",
    "dial tcp: lookup secret.svc.cluster.local: no such host",
    "Cannot connect to host secret-backend:8000 ssl:default [Connection refused]",
    "Cannot connect to host gpu.secret.example.com:443 ssl:default",
    "[Errno 111] connect to secret01:5432 failed",
    "API key 'secret5678' is invalid",
    "token 'ya29.secretsecret' expired",
    'token "secretsecret" expired',
    "Invalid API Key secretsecret",
    "the token hidden-secret-1 is wrong",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_of_any_known_shape_are_cut(text: str) -> None:
    shown = told(text)
    assert "secret" not in shown.lower() and shown != "…"


@pytest.mark.parametrize(
    "address",
    [
        "db01:5432",
        "vllm-backend:8000",
        "10.1.2.3",
        "192.168.0.7:8000",
        "127.0.0.1",
        "fd00::1",
        "[fe80::1]:80",
        "localhost:11434",
    ],
)
def test_addresses_of_the_owners_network_are_not_told(address: str) -> None:
    assert told(f"dial tcp {address}: refused").startswith("dial tcp (an address)")


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
        "the request exceeds the available context size (4096 tokens), try increasing it",
        "The model `Qwen/Qwen2.5-Omni-7B-Instruct-GPTQ-Int4` does not exist.",
        "Unsupported parameter: 'max_tokens' is not supported with this model.",
        "CUDA out of memory at 12:34:56; version 1.2.3.4.5; std::string, 2606:4700:4700::1111",
        "See https://platform.example.com/docs/errors for more.",
        "8.8.8.8 did not answer",
        "answered application/json in place of sound",
        "refused the key in llm_key (401)",
        "key-value cache is full; user-facing tools",
        "token limit exceeded: 5 > 4",
        "API key authentication failed; token 'a' was not expected",
        "token generation stopped at 10:30, line:42 of main.py:10, status:429",
        "2026-11-29T10:30: max_tokens:4096 is too much",
        "the token budget of 4096 is used up",
    ],
)
def test_what_is_no_secret_is_told_word_for_word(text: str) -> None:
    assert told(text) == text


def test_ones_own_key_is_cut_whatever_it_looks_like() -> None:
    assert told("not abc here", "abc") == "not … here"


def test_it_is_one_line_of_text_and_not_long() -> None:
    assert told("a\n\tb \ud83d") == "a b \ufffd"
    assert len(told("words " * 1_000_000)) == MOST_CHARACTERS + 1
