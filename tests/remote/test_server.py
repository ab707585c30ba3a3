"""A part's server: what it is sent, and what is taken from the environment (nothing)."""

import pytest
from openai.types.chat import ChatCompletion

from duologue.errors import ConfigFault
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
