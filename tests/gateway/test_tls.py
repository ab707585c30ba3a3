"""TLS by two settings, and what is said when they do not fit."""

import json
import ssl
from pathlib import Path

import httpx2
import pytest
import trustme
from openai import AsyncOpenAI

from authority import Authority
from duologue.errors import ConfigFault
from live_server import KEY, Serve, call, scripted, serving
from oracle import validate_server_event


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.client("openai Python", "connection over TLS")
async def test_the_sdk_talks_over_https_and_wss(authority: Authority, serve: Serve) -> None:
    config = scripted(tls_certificate=authority.certificate, tls_key=authority.key)
    context = authority.client_context()
    async with serve(config) as base_url, httpx2.AsyncClient(verify=context) as http:
        assert base_url.startswith("https://127.0.0.1:")
        async with AsyncOpenAI(base_url=base_url, api_key=KEY, http_client=http) as client:
            secret = await client.realtime.client_secrets.create()
            options = {"ssl": context}
            async with AsyncOpenAI(
                base_url=base_url, api_key=secret.value, http_client=http
            ).realtime.connect(
                model="gpt-realtime",
                websocket_connection_options=options,  # type: ignore[arg-type]
            ) as connection:
                await connection.conversation.item.create(
                    item={
                        "type": "message",
                        "role": "user",
                        "content": [{"type": "input_text", "text": "Good day"}],
                    }
                )
                await connection.response.create(response={"output_modalities": ["text"]})
                async for event in connection:
                    validate_server_event(json.dumps(event.to_dict()))
                    if event.type == "response.done":
                        break
                assert event.response.output[0].content[0].text == "You said: Good day"


async def test_a_client_that_does_not_know_the_authority_stays_out(
    authority: Authority, serve: Serve
) -> None:
    config = scripted(tls_certificate=authority.certificate, tls_key=authority.key)
    async with serve(config) as base_url:
        with pytest.raises(ssl.SSLCertVerificationError):
            async with call(base_url):
                pass
        async with call(base_url, ssl=authority.client_context()) as caller:
            await caller.next("session.created")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tls_key": "key.pem"}, "tls_certificate: is needed beside tls_key"),
        ({"tls_certificate": "certificate.pem"}, "tls_key: is needed beside tls_certificate"),
        ({"tls_certificate": "nowhere.pem", "tls_key": "key.pem"},
         "tls_certificate: .*nowhere.pem cannot be read: No such file"),
        ({"tls_certificate": "certificate.pem", "tls_key": "nowhere.pem"},
         "tls_key: .*nowhere.pem cannot be read: No such file"),
        ({"tls_certificate": "certificate.pem", "tls_key": "."},
         "tls_key: .* cannot be read: Is a directory"),
        ({"tls_certificate": "key.pem", "tls_key": "key.pem"}, "cannot be used together"),
        ({"tls_certificate": "certificate.pem", "tls_key": "other.pem"},
         "cannot be used together: key values mismatch"),
        ({"tls_certificate": "certificate.pem", "tls_key": "locked.pem"},
         "cannot be used together"),
    ],
)  # fmt: skip
async def test_files_that_do_not_fit_stop_the_start_with_the_reason(
    settings: dict[str, str], said: str, authority: Authority, tmp_path: Path
) -> None:
    other = trustme.CA().issue_cert("127.0.0.1")
    other.private_key_pem.write_to_path(str(tmp_path / "other.pem"))
    _lock(Path(authority.key), tmp_path / "locked.pem")
    paths = {name: str(tmp_path / path) for name, path in settings.items()}
    with pytest.raises(ConfigFault, match=said):
        async with serving(scripted(**paths)):
            pass


def _lock(key: Path, locked: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hush"),
        )
    )
