"""Events a beta client is sent: one GA event in, the beta event that says the same out, or none.

Names and shapes are those of the reference, section 8. `BETA_SERVER_EVENTS` has every event
of a beta connection by its wire name; what is not in it has no beta name and is not sent.
"""

from typing import Any, get_args

from msgspec import UNSET, Struct, structs

from duologue.events import replies, server
from duologue.events.beta_objects import (
    BetaItem,
    BetaResponse,
    BetaSession,
    BetaTranscriptionSession,
)
from duologue.events.beta_shapes import (
    flat_response,
    flat_session,
    flat_transcription_session,
    old_item,
)
from duologue.events.session import RealtimeSession, TranscriptionSession


class BetaSessionCreated(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="session.created"
):
    """First event of every session."""

    event_id: str
    session: BetaSession


class BetaSessionUpdated(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="session.updated"
):
    """The whole effective session, after each accepted update."""

    event_id: str
    session: BetaSession


class BetaTranscriptionSessionCreated(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="transcription_session.created"
):
    """First event of a transcription session."""

    event_id: str
    session: BetaTranscriptionSession


class BetaTranscriptionSessionUpdated(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="transcription_session.updated"
):
    """The whole effective transcription session, after each accepted update."""

    event_id: str
    session: BetaTranscriptionSession


class BetaConversationItemCreated(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="conversation.item.created"
):
    """An item has entered the conversation; `previous_item_id` is null for the first."""

    event_id: str
    previous_item_id: str | None
    item: BetaItem


class BetaConversationItemRetrieved(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="conversation.item.retrieved"
):
    """The item with its sound."""

    event_id: str
    item: BetaItem


class BetaResponseCreated(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.created"
):
    """A response was accepted and is in progress."""

    event_id: str
    response: BetaResponse


class BetaResponseDone(Struct, frozen=True, kw_only=True, tag_field="type", tag="response.done"):
    """The last event of a response, sent exactly once, whatever its end."""

    event_id: str
    response: BetaResponse


class BetaResponseOutputItemAdded(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.output_item.added"
):
    """An output item begins."""

    event_id: str
    response_id: str
    output_index: int
    item: BetaItem


class BetaResponseOutputItemDone(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.output_item.done"
):
    """An output item is final."""

    event_id: str
    response_id: str
    output_index: int
    item: BetaItem


class BetaResponseFunctionCallArgumentsDone(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.function_call_arguments.done"
):
    """The whole JSON text of a call's arguments."""

    event_id: str
    response_id: str
    item_id: str
    output_index: int
    call_id: str
    arguments: str


class BetaResponseTextDelta(
    replies.ResponseOutputTextDelta,
    frozen=True,
    kw_only=True,
    tag="response.text.delta",
):
    """More text of a written reply."""


class BetaResponseTextDone(
    replies.ResponseOutputTextDone,
    frozen=True,
    kw_only=True,
    tag="response.text.done",
):
    """The whole text: the deltas joined."""


class BetaResponseAudioDelta(
    replies.ResponseOutputAudioDelta,
    frozen=True,
    kw_only=True,
    tag="response.audio.delta",
):
    """`delta` is sound in the response's output format."""


class BetaResponseAudioDone(
    replies.ResponseOutputAudioDone,
    frozen=True,
    kw_only=True,
    tag="response.audio.done",
):
    """The sound of a part is complete."""


class BetaResponseAudioTranscriptDelta(
    replies.ResponseOutputAudioTranscriptDelta,
    frozen=True,
    kw_only=True,
    tag="response.audio_transcript.delta",
):
    """More of what is being said."""


class BetaResponseAudioTranscriptDone(
    replies.ResponseOutputAudioTranscriptDone,
    frozen=True,
    kw_only=True,
    tag="response.audio_transcript.done",
):
    """The whole transcript: the deltas joined."""


_Same = (
    server.Error
    | server.ConversationCreated
    | server.ConversationItemDeleted
    | server.ConversationItemTruncated
    | server.ConversationItemInputAudioTranscriptionDelta
    | server.ConversationItemInputAudioTranscriptionCompleted
    | server.ConversationItemInputAudioTranscriptionFailed
    | server.InputAudioBufferCommitted
    | server.InputAudioBufferCleared
    | server.InputAudioBufferSpeechStarted
    | server.InputAudioBufferSpeechStopped
    | server.OutputAudioBufferStarted
    | server.OutputAudioBufferStopped
    | server.OutputAudioBufferCleared
    | replies.ResponseContentPartAdded
    | replies.ResponseContentPartDone
    | replies.ResponseFunctionCallArgumentsDelta
    | server.RateLimitsUpdated
)
"""Events that are the same in both dialects."""

_Own = (
    BetaSessionCreated
    | BetaSessionUpdated
    | BetaTranscriptionSessionCreated
    | BetaTranscriptionSessionUpdated
    | BetaConversationItemCreated
    | BetaConversationItemRetrieved
    | BetaResponseCreated
    | BetaResponseDone
    | BetaResponseOutputItemAdded
    | BetaResponseOutputItemDone
    | BetaResponseFunctionCallArgumentsDone
    | BetaResponseTextDelta
    | BetaResponseTextDone
    | BetaResponseAudioDelta
    | BetaResponseAudioDone
    | BetaResponseAudioTranscriptDelta
    | BetaResponseAudioTranscriptDone
)

BetaServerEvent = _Same | _Own

BETA_SERVER_EVENTS: dict[str, type[BetaServerEvent]] = {
    str(cls.__struct_config__.tag): cls for cls in get_args(BetaServerEvent)
}
"""Every server event class of a beta connection by its wire name."""

_RENAMED: dict[type[server.ServerEvent], type[BetaServerEvent]] = {
    replies.ResponseOutputTextDelta: BetaResponseTextDelta,
    replies.ResponseOutputTextDone: BetaResponseTextDone,
    replies.ResponseOutputAudioDelta: BetaResponseAudioDelta,
    replies.ResponseOutputAudioDone: BetaResponseAudioDone,
    replies.ResponseOutputAudioTranscriptDelta: BetaResponseAudioTranscriptDelta,
    replies.ResponseOutputAudioTranscriptDone: BetaResponseAudioTranscriptDone,
}
_OF_AN_ITEM: dict[type[server.ServerEvent], type[BetaServerEvent]] = {
    server.ConversationItemAdded: BetaConversationItemCreated,
    server.ConversationItemRetrieved: BetaConversationItemRetrieved,
    replies.ResponseOutputItemAdded: BetaResponseOutputItemAdded,
    replies.ResponseOutputItemDone: BetaResponseOutputItemDone,
}

BETA_NAMES: dict[str, str] = {
    str(beta.__struct_config__.tag): str(ga.__struct_config__.tag)
    for ga, beta in (_RENAMED | _OF_AN_ITEM).items()
} | {
    "transcription_session.created": "session.created",
    "transcription_session.updated": "session.updated",
    "transcription_session.update": "session.update",
}
"""The GA name of each event that beta calls otherwise."""


def to_beta(event: server.ServerEvent, temperature: float) -> BetaServerEvent | None:
    """What a beta client is told of `event`; None where its dialect has no word for it.

    `temperature` is the session's, which the GA event does not know.
    """
    if renamed := _RENAMED.get(type(event)):
        return _like(renamed, event)
    match event:
        case server.ConversationItemInputAudioTranscriptionCompleted():
            return structs.replace(event, languages=UNSET)
        case server.SessionCreated(event_id=name, session=RealtimeSession() as whole):
            return BetaSessionCreated(event_id=name, session=flat_session(whole, temperature))
        case server.SessionUpdated(event_id=name, session=RealtimeSession() as whole):
            return BetaSessionUpdated(event_id=name, session=flat_session(whole, temperature))
        case server.SessionCreated(event_id=name, session=TranscriptionSession() as whole):
            flat = flat_transcription_session(whole)
            return BetaTranscriptionSessionCreated(event_id=name, session=flat)
        case server.SessionUpdated(event_id=name, session=TranscriptionSession() as whole):
            flat = flat_transcription_session(whole)
            return BetaTranscriptionSessionUpdated(event_id=name, session=flat)
        case replies.ResponseCreated(event_id=name, response=response):
            return BetaResponseCreated(event_id=name, response=flat_response(response, temperature))
        case replies.ResponseDone(event_id=name, response=response):
            return BetaResponseDone(event_id=name, response=flat_response(response, temperature))
        case replies.ResponseFunctionCallArgumentsDone():
            return _like(BetaResponseFunctionCallArgumentsDone, event)
        case (
            server.ConversationItemAdded(item=item)
            | server.ConversationItemRetrieved(item=item)
            | replies.ResponseOutputItemAdded(item=item)
            | replies.ResponseOutputItemDone(item=item)
        ):
            old = old_item(item)
            return _like(_OF_AN_ITEM[type(event)], event, item=old) if old else None
    return event if isinstance(event, _Same) else None


def _like(
    kind: type[BetaServerEvent], event: server.ServerEvent, **changes: Any
) -> BetaServerEvent:
    """A `kind` with those fields of `event` that it has, and the changes."""
    given = {name: getattr(event, name) for name in kind.__struct_fields__ if name not in changes}
    return kind(**given, **changes)
