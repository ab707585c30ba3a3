"""Items that a client creates, retrieves and deletes, and every refusal of them."""

import base64
from typing import Any

import pytest

from duologue.core import inputs
from duologue.core.conversation import IMAGES_KEPT_CHARACTERS, TEXT_KEPT_BYTES
from duologue.core.outputs import Put
from duologue.core.session import Session
from duologue.core.talk import Call, Done, Say
from duologue.events import (
    ConversationItemAdded,
    ConversationItemDeleted,
    ConversationItemDone,
    ConversationItemRetrieved,
    Error,
    InputAudioBufferSpeechStarted,
    ResponseDone,
    SessionUpdated,
)
from duologue.runtime.ids import IdSource
from duologue.testing.timeline import Timeline, read
from session_kit import add, codes, create, update, user

SILENCE = "AAAA" * 1600  # 4800 bytes: 100 ms
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}


def play(*events: dict[str, Any]) -> Timeline:
    """A timeline of client events, 10 ms apart, with the microphone closed to VAD."""
    t = Timeline()
    for index, event in enumerate(events):
        t.client_sends(0.01 * (index + 1), event)
    t.run(0.01 * (len(events) + 1))
    return t


@pytest.mark.conformance("C-106", "C-107", "C-111")
def test_an_item_is_added_and_done_with_status_completed() -> None:
    t = play(add(user("Hi")))
    added, done = t.events(ConversationItemAdded)[0], t.events(ConversationItemDone)[0]
    assert added.item == done.item and added.item.status == "completed"
    assert added.item.id.startswith("item_") and added.previous_item_id is None
    assert t.engine.history[0].parts[0].text == "Hi"


@pytest.mark.conformance("C-107", "C-108")
def test_items_go_where_they_are_put() -> None:
    t = play(
        add(user("b", id="b")),
        add(user("d", id="d")),
        add(user("a", id="a"), previous_item_id="root"),
        add(user("c", id="c"), previous_item_id="b"),
    )
    assert t.mirror.order == ["a", "b", "c", "d"]
    assert [item.id for item in t.engine.history] == ["a", "b", "c", "d"]


@pytest.mark.conformance("C-109")
def test_an_unknown_anchor_is_refused_and_the_item_is_not_there() -> None:
    t = play(add(user("a"), previous_item_id="nowhere"))
    assert codes(t) == ["item_create_invalid_previous_item_id"] and t.mirror.order == []


@pytest.mark.conformance("C-110", "C-118")
def test_an_id_is_unique_until_its_item_is_deleted() -> None:
    delete = {"type": "conversation.item.delete", "item_id": "a"}
    t = play(add(user("1", id="a")), add(user("2", id="a")), delete, add(user("3", id="a")))
    assert codes(t) == ["item_create_duplicate_item_id"]
    assert [item.parts[0].text for item in t.engine.history] == ["3"]
    assert t.events(ConversationItemDeleted)[0].item_id == "a"


@pytest.mark.conformance("C-118", "C-119", "C-142")
@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "conversation.item.delete", "item_id": "x"}, "item_delete_invalid_item_id"),
        ({"type": "conversation.item.retrieve", "item_id": "x"}, "item_retrieve_invalid_item_id"),
        ({"type": "response.cancel"}, "response_cancel_not_active"),
        ({"type": "response.cancel", "response_id": "resp_x"}, "response_cancel_not_active"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
        (
            add({"type": "function_call_output", "call_id": "call_x", "output": ""}),
            "invalid_tool_call_id",
        ),
        (
            add({"type": "mcp_approval_response", "approval_request_id": "x", "approve": True}),
            "invalid_value",
        ),
        (create(input=[{"type": "item_reference", "id": "x"}]), "invalid_value"),
        (create(tool_choice={"type": "function", "name": "f"}), "invalid_value"),
        (create(prompt={"id": "pmpt_1"}), "invalid_value"),
        (create(audio={"output": {"voice": "nobody"}}), "invalid_value"),
        (update(audio={"output": {"voice": "nobody"}}), "invalid_value"),
        (update(model="another"), "invalid_value"),
        (update(prompt={"id": "pmpt_1"}), "invalid_value"),
        (update(tools=[{"type": "mcp", "server_label": "s"}]), "invalid_value"),
        ({"type": "session.update", "session": {"type": "transcription"}}, "invalid_value"),
    ],
)
def test_a_refusal_echoes_the_event_id_and_changes_nothing(
    event: dict[str, Any], code: str
) -> None:
    t = play({**event, "event_id": "mine"})
    error = t.events(Error)[0].error
    assert (error.code, error.event_id, error.type) == (code, "mine", "invalid_request_error")
    assert t.types() == ["session.created", "error"]


@pytest.mark.conformance("C-142")
def test_cancel_without_a_target_says_so_in_the_words_clients_look_for() -> None:
    t = play({"type": "response.cancel"})
    assert t.events(Error)[0].error.message.startswith("Cancellation failed")


@pytest.mark.conformance("C-112", "C-113")
@pytest.mark.parametrize(
    ("role", "part", "path"),
    [
        ("system", {"type": "input_audio", "audio": SILENCE}, "item.content[0].type"),
        ("user", {"type": "output_text", "text": "x"}, "item.content[0].type"),
        ("assistant", {"type": "output_audio"}, "item.content[0].text"),
        ("user", {"type": "input_audio"}, "item.content[0].audio"),
        ("user", {"type": "input_image", "image_url": "ftp://x"}, "item.content[0].image_url"),
    ],
)
def test_content_that_a_role_cannot_have_is_refused_by_path(
    role: str, part: dict[str, Any], path: str
) -> None:
    t = play(add({"type": "message", "role": role, "content": [part]}))
    assert t.events(Error)[0].error.param == path and t.mirror.order == []


@pytest.mark.conformance("C-115", "C-119")
def test_sound_in_an_item_is_kept_and_not_echoed() -> None:
    sound = {"type": "input_audio", "audio": SILENCE}
    item = {"type": "message", "id": "s", "role": "user", "content": [sound]}
    t = play(add(item), {"type": "conversation.item.retrieve", "item_id": "s"})
    assert not t.events(ConversationItemAdded)[0].item.content[0].audio
    assert len(t.events(ConversationItemRetrieved)[0].item.content[0].audio) == 4800
    assert len(t.engine.history[0].parts[0].pcm or b"") == 4800


def _sound(ms: int) -> dict[str, str]:
    pcm = bytes([ms % 251, 1]) * (24 * ms)
    return {"type": "input_audio", "audio": base64.b64encode(pcm).decode()}


def _spoken(item_id: str, *content: dict[str, str]) -> dict[str, Any]:
    return {"type": "message", "id": item_id, "role": "user", "content": list(content)}


@pytest.mark.conformance("C-115", "C-119")
def test_two_sounds_in_an_item_stay_two() -> None:
    item = _spoken("s", _sound(500), _text("between"), _sound(300))
    t = play(add(item), {"type": "conversation.item.retrieve", "item_id": "s"})
    (shown,) = t.events(ConversationItemRetrieved)
    assert [len(part.audio or b"") for part in shown.item.content[::2]] == [24_000, 14_400]
    first, between, second = t.engine.history[0].parts
    assert (len(first.pcm or b""), between.text, len(second.pcm or b"")) == (
        24_000,
        "between",
        14_400,
    )
    assert first.media_id != second.media_id and not between.media_id


def test_another_sound_under_the_same_id_is_another_sound() -> None:
    twice = [_spoken("z", _sound(200)), _spoken("z", _sound(300))]
    t = play(
        add(_spoken("kept", _sound(100))),
        add(_spoken("z", _sound(100))),
        {"type": "conversation.item.delete", "item_id": "z"},
        add(_spoken("z", _sound(200))),
        create(conversation="none", input=[*twice, {"type": "item_reference", "id": "kept"}]),
    )
    put = {item.id: item.parts[0].media_id for item in t.engine.history}
    *given, kept = (item.parts[0].media_id for item in t.engine.asks[0].context or ())
    assert len({*put.values(), *given}) == 4, "each sound has a name of its own"
    assert kept == put["kept"], "and what is referred to is the same"


def test_a_sound_is_named_unlike_any_of_another_session() -> None:
    names = set()
    for seed in (1, 2):
        session = Session(Timeline().config, new_id=IdSource(seed), now=0.0)
        batch = session.handle(read(add(_spoken("msg_1", _sound(100), IMAGE))), 0.1)
        (put,) = (output for output in batch if isinstance(output, Put))
        names |= {part.media_id for part in put.item.parts}
    assert len(names) == 4 and not any("msg_1" in name for name in names)


def test_a_guess_and_what_it_becomes_are_the_same_sound() -> None:
    t = Timeline()
    t.user_speaks(0.5, 2.0)
    t.run(4.0)
    (expected,) = t.engine.expected
    assert expected.parts[0].media_id == t.engine.history[0].parts[0].media_id


@pytest.mark.conformance("C-112", "C-113", "C-117")
def test_history_can_be_brought_along() -> None:
    t = play(
        add({"type": "message", "role": "system", "content": [_text("Be kind.")]}),
        add(
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hello."}],
            }
        ),
        add({"type": "function_call", "name": "f", "call_id": "c1", "arguments": "{}"}),
        add({"type": "function_call_output", "call_id": "c1", "output": "42"}),
    )
    assert [item.role for item in t.engine.history] == ["system", "assistant", "call", "result"]
    assert codes(t) == []


@pytest.mark.conformance("C-139")
def test_a_second_response_is_refused_by_naming_the_first() -> None:
    t = Timeline()
    t.engine.says("A long answer that goes on for a while.", step_s=0.2)
    t.client_sends(0.1, {"type": "response.create"})
    t.client_sends(0.5, {"type": "response.create", "event_id": "second"})
    t.run(5.0)
    error = t.events(Error)[0].error
    assert error.code == "conversation_already_has_active_response"
    assert "resp_1" in error.message and error.event_id == "second"
    assert t.events(ResponseDone)[0].response.status == "completed"


@pytest.mark.conformance("C-140")
def test_a_response_can_follow_at_once() -> None:
    t = Timeline()
    t.engine.says("One.")
    t.engine.says("Two.")
    t.client_sends(0.1, {"type": "response.create"})
    t.run(0.45)
    done_at = t.sent[-1][0]
    t.client_sends(done_at, {"type": "response.create"})
    t.run(2.0)
    assert codes(t) == [] and len(t.events(ResponseDone)) == 2


@pytest.mark.conformance("C-143")
def test_cancel_by_id_hits_an_out_of_band_response() -> None:
    t = Timeline()
    t.engine.says("Beside it.", after_s=2.0)
    t.client_sends(0.1, create(conversation="none"))
    t.client_sends(0.5, {"type": "response.cancel", "response_id": "resp_1"})
    t.run(3.0)
    done = t.events(ResponseDone)[0].response
    assert (done.status, done.status_details.reason) == ("cancelled", "client_cancelled")


@pytest.mark.conformance("C-146")
def test_settings_of_one_response_do_not_leak() -> None:
    t = Timeline()
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    t.client_sends(0.1, update(instructions="Be brief."))
    t.engine.says("One.")
    t.engine.says("Two.")
    t.client_sends(0.2, create(instructions="Rhyme.", tools=[tool], output_modalities=["text"]))
    t.client_sends(2.0, create())
    t.run(4.0)
    first, second = t.engine.asks
    assert (first.instructions, len(first.tools), first.speak) == ("Rhyme.", 1, False)
    assert (second.instructions, len(second.tools), second.speak) == ("Be brief.", 0, True)


def test_an_update_merges_the_audio_block_key_by_key() -> None:
    t = play(
        update(audio={"input": {"noise_reduction": {"type": "near_field", "strength": 0.5}}}),
        update(audio={"input": {"noise_reduction": {"type": "far_field"}}}),
        update(audio={"output": {"speed": 1.25}}),
        update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}}),
    )
    session = t.events(SessionUpdated)[-1].session
    assert session.audio.input.noise_reduction.strength == 0.5
    assert session.audio.output.speed == 1.25
    detection = session.audio.input.turn_detection
    assert (detection.threshold, detection.silence_duration_ms) == (0.7, 500)
    assert detection.create_response is detection.interrupt_response is True


def test_the_voice_is_locked_once_sound_was_sent() -> None:
    t = Timeline()
    t.engine.says("One.")
    t.client_sends(0.05, update(audio={"output": {"voice": "marin"}}))
    t.client_sends(0.1, create())
    t.client_sends(1.0, update(audio={"output": {"voice": "marin"}}))
    t.client_sends(1.1, update(audio={"output": {"voice": "cedar"}}))
    t.run(2.0)
    assert codes(t) == ["cannot_update_voice"]


def test_tracing_can_be_set_once_and_taken_back() -> None:
    t = play(
        update(tracing="auto"),
        update(tracing="auto"),
        update(tracing={"workflow_name": "x"}),
        update(tracing=None),
    )
    assert codes(t) == ["invalid_value"]
    assert t.events(SessionUpdated)[-1].session.tracing is None


def test_turning_detection_off_mid_speech_ends_the_segment_silently() -> None:
    t = Timeline()
    t.user_speaks(0.5, 3.0)
    t.client_sends(1.5, update(audio={"input": {"turn_detection": None}}))
    t.run(4.0)
    assert t.types() == [
        "session.created",
        "input_audio_buffer.speech_started",
        "session.updated",
    ]
    assert t.engine.expected == []


def test_clear_abandons_an_open_segment() -> None:
    t = Timeline()
    t.user_speaks(0.5, 1.0)
    t.client_sends(1.2, {"type": "input_audio_buffer.clear"})
    t.run(3.0)
    assert t.types()[1:] == ["input_audio_buffer.speech_started", "input_audio_buffer.cleared"]
    assert t.engine.expected[-1] is None


def test_sound_offsets_keep_counting_over_commits() -> None:
    t = Timeline()
    t.engine.says("One.")
    t.engine.says("Two.")
    t.user_speaks(0.5, 1.0)
    t.user_speaks(5.024, 5.5)
    t.run(8.0)
    starts = [e.audio_start_ms for _, e in t.sent if hasattr(e, "audio_start_ms")]
    assert starts[1] == 5024 - 300


def test_a_frame_that_cannot_be_read_is_answered_in_its_place() -> None:
    t = Timeline()
    t.enter(0.1, inputs.BadEvent("invalid_json", "no JSON", None, None))
    t.run(0.2)
    assert codes(t) == ["invalid_json"]


def test_too_much_waiting_sound_is_refused_once() -> None:
    t = Timeline()
    t.client_sends(0.01, update(audio={"input": {"turn_detection": None}}))
    second = bytes(48_000)
    for index in range(31 * 60):
        t.enter(0.02 + index * 1e-5, inputs.AudioReceived(second))
    t.run(0.9)
    assert codes(t) == ["input_audio_buffer_full"]
    t.client_sends(1.0, {"type": "input_audio_buffer.clear"})
    t.run(1.1)
    assert t.types()[-1] == "input_audio_buffer.cleared"


def _text(text: str) -> dict[str, str]:
    return {"type": "input_text", "text": text}


THIRD = "x" * (TEXT_KEPT_BYTES // 3 - 2000)
CALL = {"type": "function_call", "name": "f", "call_id": "c1", "arguments": "{}"}


def written(item_id: str, text: str = THIRD) -> dict[str, Any]:
    return add({"type": "message", "id": item_id, "role": "user", "content": [_text(text)]})


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "system", "content": [_text(THIRD)]},
        {**CALL, "call_id": "c2", "arguments": THIRD},
        {"type": "function_call_output", "call_id": "c1", "output": THIRD},
        {"type": "message", "role": "user", "content": [_text("语" * (TEXT_KEPT_BYTES // 6))]},
    ],
    ids=["text", "arguments", "output", "wide"],
)
def test_a_conversation_holds_text_up_to_a_bound_and_again_when_some_is_deleted(
    item: dict[str, Any],
) -> None:
    tried = add({**item, "id": "d"})
    t = play(
        add({**CALL, "id": "call"}),
        written("a"),
        written("b"),
        written("c"),
        {**tried, "event_id": "mine"},
        {"type": "conversation.item.delete", "item_id": "a"},
        tried,
    )
    (error,) = (event.error for event in t.events(Error))
    assert (error.code, error.param) == ("string_above_max_length", "item")
    assert error.event_id == "mine" and "may hold 24 MiB of text" in error.message
    assert t.mirror.order == ["call", "b", "c", "d"]


def test_what_replies_say_is_taken_and_counts() -> None:
    t = Timeline()
    t.engine.answers(Say(THIRD), Call(0, name="f", delta=THIRD), Done())  # the call has no end
    t.client_sends(0.1, create(output_modalities=["text"]))
    for index, item_id in enumerate("abc"):
        t.client_sends(1.0 + index, written(item_id))
    t.run(5.0)
    assert codes(t) == ["string_above_max_length"] * 2
    (said, called) = t.events(ResponseDone)[0].response.output
    assert t.mirror.order == [said.id, called.id, "a"]


def test_what_is_kept_beside_makes_room_for_the_conversation() -> None:
    t = Timeline()
    for second in range(1, 6):
        t.engine.answers(Say(THIRD), Done())
        t.client_sends(second, create(output_modalities=["text"], conversation="none"))
    t.run(7.0)
    items = [event.response.output[0].id for event in t.events(ResponseDone)]
    for second, item_id in enumerate(items, 8):
        t.client_sends(second, {"type": "conversation.item.retrieve", "item_id": item_id})
    t.run(20.0)
    assert [event.item.id for event in t.events(ConversationItemRetrieved)] == items[2:]
    assert codes(t) == ["item_retrieve_invalid_item_id"] * 2


def test_a_conversation_holds_images_up_to_a_bound_and_again_when_some_are_deleted() -> None:
    half = "data:image/png;base64," + "A" * (IMAGES_KEPT_CHARACTERS // 2 - 100)

    def image(item_id: str) -> dict[str, Any]:
        content = [{"type": "input_image", "image_url": half}]
        return add({"type": "message", "id": item_id, "role": "user", "content": content})

    t = play(image("a"), image("b"), image("c"))
    assert codes(t) == ["image_file_too_large"] and t.mirror.order == ["a", "b"]
    t = play(
        image("a"),
        image("b"),
        {"type": "conversation.item.delete", "item_id": "a"},
        image("c"),
    )
    assert codes(t) == [] and t.mirror.order == ["b", "c"]
    assert t.engine.history[0].parts[0].image_url == half


@pytest.mark.conformance("C-110")
def test_the_id_announced_for_what_is_being_said_is_taken() -> None:
    t = Timeline()
    t.user_speaks(0.2, 1.0)
    t.run(0.8)
    announced = t.events(InputAudioBufferSpeechStarted)[0].item_id
    t.client_sends(0.9, add(user("Hello", id=announced)))
    t.run(3.0)
    assert codes(t) == ["item_create_duplicate_item_id"]
    assert t.mirror.order == [announced]


@pytest.mark.conformance("C-125")
def test_a_reference_is_no_item_of_the_conversation() -> None:
    t = play(add(user("Hello", id="one")), add({"type": "item_reference", "id": "one"}))
    error = t.events(Error)[0].error
    assert (error.code, error.param) == ("invalid_value", "item.type")
    assert t.mirror.order == ["one"]


@pytest.mark.parametrize(("given", "asked"), [("auto", None), ("low", "low"), ("high", "high")])
def test_how_closely_an_image_is_to_be_looked_at_is_told_the_engine(
    given: str, asked: str | None
) -> None:
    part = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": given}
    t = play(add({"type": "message", "role": "user", "content": [part]}))
    assert t.engine.history[0].parts[0].image_detail == asked


@pytest.mark.conformance("C-114")
def test_an_image_is_a_data_uri_of_png_or_jpeg() -> None:
    def image(url: str) -> dict[str, Any]:
        part = {"type": "input_image", "image_url": url}
        return add({"type": "message", "role": "user", "content": [part]})

    t = play(
        image("data:image/png;base64,AAAA"),
        image("data:image/jpeg;base64,AAAA"),
        image("data:image/tiff;base64,AAAA"),
        image("file:///etc/passwd"),
    )
    assert len(t.mirror.order) == 2
    assert [e.error.param for e in t.events(Error)] == ["item.content[0].image_url"] * 2
    assert [item.parts[0].image_url for item in t.engine.history] == [
        "data:image/png;base64,AAAA",
        "data:image/jpeg;base64,AAAA",
    ]


def test_the_oldest_sound_is_forgotten_and_the_words_stay() -> None:
    t = Timeline()
    minutes = bytes(10 * 60 * 48_000)
    for text in ("One.", "Two.", "Three."):
        t.engine.answers(Say(text, minutes, len(text)), Done(), after_s=0.1)
        t.client_sends(t.now + 0.1, create(conversation="auto"))
        t.run(t.now + 1.0)
    for item_id in t.mirror.order:
        t.client_sends(t.now + 0.1, {"type": "conversation.item.retrieve", "item_id": item_id})
    t.run(t.now + 0.2)
    parts = [event.item.content[0] for event in t.events(ConversationItemRetrieved)]
    assert [part.transcript for part in parts] == ["One.", "Two.", "Three."]
    assert [bool(part.audio) for part in parts] == [False, True, True]


def test_clearing_an_output_buffer_that_is_not_there_is_no_error() -> None:
    t = play({"type": "output_audio_buffer.clear"})
    assert t.types() == ["session.created"]


def test_an_image_must_be_brought_along() -> None:
    part = {"type": "input_image", "detail": "low"}
    t = play(add({"type": "message", "role": "user", "content": [part]}))
    error = t.events(Error)[0].error
    assert error.code == "missing_required_parameter"
    assert error.param == "item.content[0].image_url"
    assert t.mirror.order == []


def test_what_was_made_beside_makes_room_for_the_client_s_items() -> None:
    t = Timeline()
    big = "x" * (TEXT_KEPT_BYTES // 2)
    for at_s in (0.1, 1.1):
        t.engine.answers(Say(big), Done())
        t.client_sends(at_s, create(conversation="none", output_modalities=["text"]))
    t.run(2.0)
    part = {"type": "input_text", "text": "y" * (TEXT_KEPT_BYTES // 3 * 2)}
    t.client_sends(2.1, add({"type": "message", "role": "user", "content": [part], "id": "mine"}))
    t.run(3.0)
    assert not t.events(Error)
    assert t.mirror.order == ["mine"]
