"""The page at `/`: what is served, and who gets in without a key."""

import asyncio
import json
import re
import urllib.error
import urllib.request

import pytest

from duologue import __version__, playground
from live_server import KEY, call, http_get, scripted, serving


def root(base_url: str) -> str:
    return base_url.removesuffix("/v1")


async def asked_for_a_secret(url: str, headers: dict[str, str]) -> tuple[int, dict[str, object]]:

    def ask() -> tuple[int, dict[str, object]]:
        request = urllib.request.Request(url, data=b"", headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as fault:
            return fault.code, json.load(fault)

    return await asyncio.to_thread(ask)


async def test_the_page_and_all_it_names_are_served_and_nothing_else() -> None:
    async with serving(scripted()) as base_url:
        status, headers, page = await http_get(root(base_url) + "/", key=None)
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert f'base_url="{base_url}"' in page and __version__ in page
        names = set(re.findall(r'(?:href|src)="(playground/[^"]+)"', page))
        assert names == {"playground/icon.svg", "playground/style.css", "playground/main.js"}
        for name, (body, kind) in playground.load().items():
            if name == playground.INDEX:
                continue
            status, headers, served = await http_get(
                f"{root(base_url)}/playground/{name}", key=None
            )
            assert status == 200 and headers["content-type"].startswith(kind)
            assert served == body.decode()
        for name in ("index.html", "__init__.py", "..%2f__init__.py", "nothing.js"):
            status, _, fault = await http_get(f"{root(base_url)}/playground/{name}", key=None)
            assert (status, fault["error"]["code"]) == (404, "not_found")


async def test_the_page_may_fetch_from_its_own_server_only() -> None:
    async with serving(scripted()) as base_url:
        _, headers, _ = await http_get(root(base_url) + "/", key=None)
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy.pop("default-src") == "'none'"
    assert set(policy.values()) == {"'self'", "'none'"}
    # No address of elsewhere in any file; the SVG namespace is a name and not an address.
    for body, _ in playground.load().values():
        assert set(re.findall(r"https?://[^\s\"'`]+", body.decode())) <= {
            "http://www.w3.org/2000/svg"
        }


async def test_the_local_page_gets_a_secret_that_opens_a_session() -> None:
    async with serving(scripted()) as base_url:
        url = root(base_url) + "/playground/secret"
        status, secret = await asked_for_a_secret(
            url, {"Origin": root(base_url), "Sec-Fetch-Site": "same-origin"}
        )
        assert status == 200 and KEY not in json.dumps(secret)
        async with call(base_url, key=str(secret["value"])) as client:
            assert (await client.next("session.created"))["session"]["type"] == "realtime"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "{root}", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "{root}", "X-Forwarded-For": "203.0.113.9"},
        # A name that somebody else's DNS points at this machine.
        {"Origin": "http://rebound.example", "Host": "rebound.example"},
        {"Origin": "http://[", "Host": "["},
    ],
    ids=lambda headers: " ".join(headers.values()) or "none",
)
async def test_nobody_else_gets_a_secret(headers: dict[str, str]) -> None:
    async with serving(scripted()) as base_url:
        given = {name: value.format(root=root(base_url)) for name, value in headers.items()}
        status, fault = await asked_for_a_secret(root(base_url) + "/playground/secret", given)
    assert status in (400, 403)
    assert "value" not in fault


@pytest.mark.parametrize("playground", ["key", "off"])
async def test_the_owner_may_want_a_key_of_local_pages_too(playground: str) -> None:
    async with serving(scripted(playground=playground)) as base_url:
        status, fault = await asked_for_a_secret(
            root(base_url) + "/playground/secret", {"Origin": root(base_url)}
        )
        assert (status, fault["error"]["code"]) == (403, "key_needed")  # type: ignore[index]
        status, _, _ = await http_get(root(base_url) + "/", key=None)
        assert status == (404 if playground == "off" else 200)
