"""Items that a client creates, retrieves and deletes, and every refusal of them."""

import base64
from typing import Any

import pytest

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
)
from duologue.runtime.ids import IdSource
from duologue.testing.timeline import Timeline, read
from session_kit import add, codes, create, played, update, user

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
SILENCE = "AAAA" * 1600  # 4800 bytes: 100 ms


@pytest.mark.conformance("C-106", "C-107", "C-111")
def test_an_item_is_added_and_done_with_status_completed() -> None:
    t = played(add(user("Hi")))
    added, done = t.events(ConversationItemAdded)[0], t.events(ConversationItemDone)[0]
    assert added.item == done.item and added.item.status == "completed"
    assert added.item.id.startswith("item_") and added.previous_item_id is None
    assert t.engine.history[0].parts[0].text == "Hi"


@pytest.mark.conformance("C-107", "C-108")
def test_items_go_where_they_are_put() -> None:
    t = played(
        add(user("b", id="b")),
        add(user("d", id="d")),
        add(user("a", id="a"), previous_item_id="root"),
        add(user("c", id="c"), previous_item_id="b"),
    )
    assert t.mirror.order == ["a", "b", "c", "d"]
    assert [item.id for item in t.engine.history] == ["a", "b", "c", "d"]


@pytest.mark.conformance("C-109")
def test_an_unknown_anchor_is_refused_and_the_item_is_not_there() -> None:
    t = played(add(user("a"), previous_item_id="nowhere"))
    assert codes(t) == ["item_create_invalid_previous_item_id"] and t.mirror.order == []


@pytest.mark.conformance("C-110", "C-118")
def test_an_id_is_unique_until_its_item_is_deleted() -> None:
    delete = {"type": "conversation.item.delete", "item_id": "a"}
    t = played(add(user("1", id="a")), add(user("2", id="a")), delete, add(user("3", id="a")))
    assert codes(t) == ["item_create_duplicate_item_id"]
    assert [item.parts[0].text for item in t.engine.history] == ["3"]
    assert t.events(ConversationItemDeleted)[0].item_id == "a"


@pytest.mark.conformance("C-115", "C-119")
def test_sound_in_an_item_is_kept_and_not_echoed() -> None:
    sound = {"type": "input_audio", "audio": SILENCE}
    item = {"type": "message", "id": "s", "role": "user", "content": [sound]}
    t = played(add(item), {"type": "conversation.item.retrieve", "item_id": "s"})
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
    t = played(add(item), {"type": "conversation.item.retrieve", "item_id": "s"})
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
    t = played(
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


@pytest.mark.conformance("C-112", "C-113", "C-117")
def test_history_can_be_brought_along() -> None:
    t = played(
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
    t = played(
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

    t = played(image("a"), image("b"), image("c"))
    assert codes(t) == ["image_file_too_large"] and t.mirror.order == ["a", "b"]
    t = played(
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
    t = played(add(user("Hello", id="one")), add({"type": "item_reference", "id": "one"}))
    error = t.events(Error)[0].error
    assert (error.code, error.param) == ("invalid_value", "item.type")
    assert t.mirror.order == ["one"]


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


def test_a_spoken_item_is_retrieved_with_sound_and_transcript() -> None:
    t = Timeline()
    t.client_sends(0.1, update(audio={"input": {"transcription": {"model": "whisper-1"}}}))
    t.transcripts = ["How are you?"]
    t.engine.says("Fine thanks.", word_ms=100)
    t.user_speaks(0.5, 1.0)
    t.run(4.0)
    for item_id in t.mirror.order:
        event = {"type": "conversation.item.retrieve", "item_id": item_id}
        t.client_sends(4.1, event)
    t.run(4.2)
    user, assistant = (event.item for event in t.events(ConversationItemRetrieved))
    assert user.content[0].transcript == "How are you?" and len(user.content[0].audio) > 48_000
    assert assistant.content[0].transcript == "Fine thanks."
    assert len(assistant.content[0].audio) == 200 * 48


@pytest.mark.conformance("C-120")
def test_an_item_being_generated_can_be_retrieved() -> None:
    t = Timeline()
    t.engine.says("One two three.", step_s=0.5)
    t.client_sends(0.1, {"type": "response.create"})
    t.client_sends(0.5, {"type": "conversation.item.retrieve", "item_id": "item_1"})
    t.run(0.6)
    assert t.events(ConversationItemRetrieved)[0].item.status == "in_progress"


@pytest.mark.conformance("C-137")
def test_no_sound_stands_in_item_events() -> None:
    t = Timeline()
    t.engine.says("Fine.")
    t.user_speaks(0.5, 1.0)
    t.run(4.0)
    for event in [*t.events(ConversationItemAdded), *t.events(ConversationItemDone)]:
        for part in event.item.content:
            assert not part.audio
