"""Where an upstream is, and what it is taken for."""

import asyncio

import pytest
from msgspec import structs
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from duologue.core.talk import Ask
from duologue.engines.realtime.engine import RealtimeEngine
from duologue.engines.realtime.traits import Common, common_traits, intersection
from duologue.engines.realtime.upstream import OPEN_TRAITS, Told, Upstream, traits_of
from duologue.errors import ConfigFault, EngineFault
from duologue.runtime.ports import Traits
from live_server import KEY, call, scripted, serving, ws_url


@pytest.mark.parametrize(
    ("given", "url", "models_url"),
    [
        ("ws://a:1/v1/realtime", "ws://a:1/v1/realtime", "http://a:1/v1/models"),
        ("wss://a/v1/realtime/", "wss://a/v1/realtime", "https://a/v1/models"),
        ("http://a/v1", "ws://a/v1/realtime", "http://a/v1/models"),
        ("https://a", "wss://a/v1/realtime", "https://a/v1/models"),
        ("ws://a/x/realtime?b=c", "ws://a/x/realtime?b=c", "http://a/x/models"),
    ],
)
def test_the_address_of_the_endpoint_or_of_the_api_will_do(
    given: str, url: str, models_url: str
) -> None:
    upstream = Upstream(given)
    assert (upstream.url, upstream.models_url) == (url, models_url)


def test_a_model_is_named_in_the_query() -> None:
    assert Upstream("ws://a/v1", None, "b c").url == "ws://a/v1/realtime?model=b+c"


@pytest.mark.parametrize("given", ["", "a:1", "ftp://a", "ws://", "ws://user:sk-1@a/v1"])
def test_an_address_that_cannot_be_is_a_fault_that_shows_no_key(given: str) -> None:
    with pytest.raises(ConfigFault) as caught:
        Upstream(given)
    assert "sk-1" not in str(caught.value)


async def test_another_duologue_tells_its_traits() -> None:
    async with serving(scripted(script="context_tokens = 5000")) as base_url:
        told = await Upstream(ws_url(base_url, ""), KEY).traits()
    traits = told.traits
    assert told.is_duologue and traits.voices == ("tone",) and traits.context_tokens == 5000
    assert not traits.hears and not traits.speaks


async def test_one_that_tells_nothing_is_taken_for_able() -> None:
    async with serving(scripted()) as base_url:
        assert await Upstream(ws_url(base_url, ""), "sk-wrong").traits() == Told()
    assert Told().traits == OPEN_TRAITS and not OPEN_TRAITS.shown().end_to_end


async def test_what_a_session_shows_of_a_duologue_is_what_its_list_says() -> None:
    async with serving(scripted(script="context_tokens = 5000")) as base_url:
        async with call(base_url) as client:
            session = (await client.next("session.created"))["session"]
        assert traits_of(session) == (await Upstream(ws_url(base_url, ""), KEY).traits()).traits
    for nonsense in (None, {}, {"duologue": 3}, {"duologue": {"traits": {"hears": 1}}}):
        assert traits_of(nonsense) is None


class Model(Upstream):
    """Another duologue, whose model hears and speaks."""

    async def traits(self) -> Told:
        return Told(Traits(hears=True, speaks=True), is_duologue=True)


class Hanging(Upstream):
    """It never says what it is."""

    async def traits(self) -> Told:
        await asyncio.Event().wait()
        raise AssertionError("it hangs")


class Seeing(Upstream):
    """Another duologue, whose model looks at images."""

    async def traits(self) -> Told:
        return Told(Traits(sees=True, reads_images=True), is_duologue=True)


async def test_one_that_says_nothing_is_what_its_owner_says() -> None:
    whole = structs.replace(OPEN_TRAITS, hears=True, speaks=True, context_tokens=8192)
    async with serving(scripted()) as base_url:
        silent, telling = (Upstream(ws_url(base_url, ""), key) for key in ("sk-wrong", KEY))
        assert (await common_traits([silent], whole)).traits == whole
        told = await common_traits([telling], whole)
        assert not told.traits.hears and told.aligned
        model = Model("ws://127.0.0.1:9")
        assert (await common_traits([model])).traits.shown().end_to_end
        assert not (await common_traits([model, silent])).traits.shown().end_to_end
        assert (await common_traits([model, silent], whole)).traits.shown().end_to_end


async def test_what_an_upstream_cannot_do_is_not_promised_of_several() -> None:
    less = structs.replace(OPEN_TRAITS, tools=False, reads_images=False)
    silent, seeing = Upstream("ws://127.0.0.1:9"), Seeing("ws://127.0.0.1:9")
    omni = Upstream("ws://127.0.0.1:9/v1/realtime?duplex=1")
    for upstreams in ([silent], [omni]):
        traits = (await common_traits(upstreams, less)).traits
        assert not traits.tools and not traits.takes_images
    async with serving(scripted()) as base_url:
        mute = Upstream(ws_url(base_url, ""), "sk-wrong")
        both = (await common_traits([seeing, mute], less)).traits
        assert not both.tools and not both.takes_images
        both = (await common_traits([seeing, mute])).traits
        assert both.tools and both.sees
    alone = (await common_traits([seeing], less)).traits
    assert alone.tools and alone.sees, "it knows best what it is"


async def test_a_full_duplex_model_by_its_address_is_what_its_owner_says() -> None:
    omni = Upstream("ws://127.0.0.1:9/v1/realtime?duplex=1")
    traits = (await common_traits([omni])).traits
    assert traits.duplex and not traits.rewinds and not traits.shown().end_to_end
    whole = structs.replace(OPEN_TRAITS, hears=True, speaks=True)
    assert (await common_traits([omni], whole)).traits.shown().end_to_end


async def test_of_several_no_more_is_promised_than_all_of_them_can() -> None:
    large, small = "context_tokens = 9000", "context_tokens = 5000"
    async with serving(scripted(script=large)) as one, serving(scripted(script=small)) as two:
        both = [Upstream(ws_url(base_url, ""), KEY) for base_url in (one, two)]
        common = await common_traits(both)
        assert common.aligned and not common.away
        assert (common.traits.context_tokens, common.traits.voices) == (5000, ("tone",))
        away = Upstream("ws://127.0.0.1:9/v1", KEY)
        assert await common_traits([away, *both]) == structs.replace(common, away=(away,))
        assert await common_traits([away]) == Common(OPEN_TRAITS, False, (away,))
        assert [common.own[one].context_tokens for one in both] == [9000, 5000]


async def test_one_that_hangs_does_not_hide_what_the_others_are() -> None:
    hanging, seeing = Hanging("ws://127.0.0.1:9"), Seeing("ws://127.0.0.1:9")
    common = await common_traits([hanging, seeing], late_s=0.01)
    assert common.traits.sees and common.away == (hanging,) and list(common.own) == [seeing]


async def test_upstreams_of_which_one_takes_turns_and_one_is_asked_are_refused() -> None:
    async with serving(scripted()) as asked, serving(scripted(script="duplex = true")) as duplex:
        both = [Upstream(ws_url(base_url, ""), KEY) for base_url in (asked, duplex)]
        with pytest.raises(ConfigFault) as caught:
            await common_traits(both)
        kinds = (f"{both[0].name} is not full-duplex", f"{both[1].name} is full-duplex")
        assert ", ".join(kinds) in str(caught.value)
        omni = Upstream("ws://127.0.0.1:9/v1/realtime?duplex=1")
        with pytest.raises(ConfigFault, match="full-duplex as vLLM-Omni is"):
            await common_traits([both[1], omni])
        silent = Upstream(ws_url(asked, ""), "sk-wrong")  # tells nothing, and is there
        with pytest.raises(ConfigFault, match="of one kind"):
            await common_traits([silent, omni])


async def test_a_server_that_is_still_starting_counts_as_away() -> None:
    async def unavailable(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(503, "starting")

    async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0, process_request=unavailable) as s:
        port = next(iter(s.sockets)).getsockname()[1]
        assert (await Upstream(f"ws://127.0.0.1:{port}/v1").traits()).is_away


def test_what_one_cannot_all_cannot() -> None:
    rich = Traits(hears=True, speaks=True, sees=True, voices=("a", "b", "c"), languages=("en",))
    poor = Traits(hears=True, tools=False, voices=("c", "b"), max_output_tokens=7)
    common = intersection([rich, poor])
    assert common == Traits(hears=True, tools=False, voices=("b", "c"), max_output_tokens=7)
    assert intersection([rich]) == rich


def test_upstreams_without_a_voice_in_common_are_refused() -> None:
    one, other = Traits(voices=("a",)), Traits(voices=("b",))
    with pytest.raises(ConfigFault, match="upstream: the servers have no voice in common"):
        intersection([one, other])
    assert intersection([one, Traits()]).voices == ()  # one speaks as it likes


@pytest.mark.parametrize("key", ["sk-1\n", "sk-1\r\nX: y", " sk-1", "sk-ключ"])
def test_a_key_that_no_header_can_carry_is_found_at_the_start(key: str) -> None:
    with pytest.raises(ConfigFault, match="^upstream_key: ") as caught:
        Upstream("ws://a", key)
    assert "sk-1" not in str(caught.value)


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    visits: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, address)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        for url in ("ws://127.0.0.1:9/v1", "wss://127.0.0.1:9/v1"):
            assert (await Upstream(url, KEY).traits()).is_away
            engine = RealtimeEngine([Upstream(url, KEY)])
            talk = await engine.open(Ask())
            with pytest.raises(EngineFault, match="cannot be reached"):
                await anext(talk.reply(Ask()))
            await engine.aclose()
    assert not visits
