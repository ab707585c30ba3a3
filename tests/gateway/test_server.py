"""The server process, as scripts of others start it: lines, exit codes, signals."""

import asyncio
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from duologue.errors import ConfigFault
from live_server import KEY, call, scripted, serving

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")


@asynccontextmanager
async def duologue(*arguments: str, cwd: Path, key: str | None = KEY) -> AsyncIterator[Process]:
    environ = {name: value for name, value in os.environ.items() if "DUOLOGUE" not in name}
    if key:
        environ["DUOLOGUE_API_KEY"] = key
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "duologue", *arguments),
        stdout=PIPE,
        stderr=PIPE,
        cwd=cwd,
        env=environ,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line_of(process: Process) -> str:
    assert process.stdout
    return (await process.stdout.readline()).decode()


SERVE = ("serve", "--engine", "scripted", "--port", "0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_prints_that_it_is_ready_and_stops_on_a_signal_with_0(
    number: signal.Signals, tmp_path: Path
) -> None:
    async with duologue(*SERVE, cwd=tmp_path) as process:
        ready = await line_of(process)
        found = re.fullmatch(
            r"duologue is ready: (http://127\.0\.0\.1:\d+/v1) \(engine scripted\)\n", ready
        )
        assert found
        page = await line_of(process)
        assert page == f"Talk to it in a browser: {found[1].removesuffix('v1')}\n"
        async with call(found[1]) as client:
            await client.next("session.created")
            process.send_signal(number)
            assert await client.closed() == (1001, "The server is shutting down.")
        out, err = await process.communicate()
        assert (process.returncode, out, err) == (0, b"", b"")


async def test_a_key_that_was_not_given_is_made_and_printed_before_the_ready_line(
    tmp_path: Path,
) -> None:
    async with duologue(*SERVE, cwd=tmp_path, key=None) as process:
        found = re.fullmatch(r"API key for this run: (sk-duologue-\S+)\n", await line_of(process))
        assert found
        base_url = (await line_of(process)).split()[3]
        async with call(base_url, key=found[1]) as client:
            await client.next("session.created")


async def test_a_taken_port_ends_it_with_the_reason_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with duologue(*SERVE[:-1], str(port), cwd=tmp_path) as process:
            out, err = await process.communicate()
    assert process.returncode == 1
    assert out == b""
    assert err.decode() == (
        f"duologue: port: cannot listen on 127.0.0.1 port {port}: address already in use\n"
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--host", "not.a.host.invalid"), "host: 'not.a.host.invalid' is no address"),
        (
            ("--engine", "heavy"),
            "engine: 'heavy' is not allowed; built in: light, chat",
        ),
        (("--config", "nowhere.toml"), "nowhere.toml: cannot be read"),
        (("--script", "nowhere.toml"), "the script nowhere.toml cannot be used"),
        (("--voice", "basso"), "voice: 'basso' is not allowed"),
    ],
)
async def test_whatever_stops_the_start_is_told_in_one_line(
    arguments: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    async with duologue(*SERVE, *arguments, cwd=tmp_path) as process:
        out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert err.startswith(b"duologue: ")
    assert reason in err.decode()
    assert err.count(b"\n") == 1


async def test_a_file_in_place_is_read(tmp_path: Path) -> None:
    (tmp_path / "duologue.toml").write_text('engine = "scripted"\nport = 0\napi_key = "k"\n')
    async with duologue("serve", cwd=tmp_path, key=None) as process:
        base_url = (await line_of(process)).split()[3]
        async with call(base_url, key="k") as client:
            await client.next("session.created")


async def test_two_servers_cannot_have_one_port() -> None:
    async with serving(scripted()) as base_url:
        port = int(base_url.split(":")[2].removesuffix("/v1"))
        with pytest.raises(ConfigFault, match=f"port {port}: address already in use"):
            async with serving(scripted(port=port)):
                pass


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
async def test_an_ipv6_address_is_written_with_brackets() -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no ::1")
    async with serving(scripted(host="::1")) as base_url:
        assert base_url.startswith("http://[::1]:")
        async with call(base_url) as client:
            await client.next("session.created")
