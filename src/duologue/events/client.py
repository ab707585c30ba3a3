"""Events a client sends, as a union tagged by `type`. `codec.py` makes them from text frames.

Class names are the wire names in CamelCase. `event_id` is the client's own name for an
event, echoed only in the `error` it may cause.
"""

from typing import get_args

from msgspec import UNSET, Struct, UnsetType

from duologue.events.items import ClientItem
from duologue.events.responses import ResponseCreateParams
from duologue.events.scalars import EventId, Index, Milliseconds, Sound
from duologue.events.session import SessionUpdateParams


class SessionUpdate(Struct, frozen=True, kw_only=True, tag_field="type", tag="session.update"):
    """Change settings of the session; answered by `session.updated`."""

    event_id: EventId | UnsetType = UNSET
    session: SessionUpdateParams


class InputAudioBufferAppend(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="input_audio_buffer.append"
):
    """Sound in the session's input format; a sample may be split over two events."""

    event_id: EventId | UnsetType = UNSET
    audio: Sound


class InputAudioBufferCommit(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="input_audio_buffer.commit"
):
    """Make a user item of the buffered sound."""

    event_id: EventId | UnsetType = UNSET


class InputAudioBufferClear(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="input_audio_buffer.clear"
):
    """Throw the buffered sound away."""

    event_id: EventId | UnsetType = UNSET


class OutputAudioBufferClear(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="output_audio_buffer.clear"
):
    """Stop playing what was sent (transports that play it themselves)."""

    event_id: EventId | UnsetType = UNSET


class ConversationItemCreate(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="conversation.item.create"
):
    """`previous_item_id` None appends, "root" puts the item in front."""

    event_id: EventId | UnsetType = UNSET
    previous_item_id: str | None = None
    item: ClientItem


class ConversationItemRetrieve(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="conversation.item.retrieve"
):
    """Ask for an item with its sound."""

    event_id: EventId | UnsetType = UNSET
    item_id: str


class ConversationItemDelete(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="conversation.item.delete"
):
    """Take an item out of the conversation."""

    event_id: EventId | UnsetType = UNSET
    item_id: str


class ConversationItemTruncate(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="conversation.item.truncate"
):
    """Cut an assistant's sound to what was heard, its first `audio_end_ms`."""

    event_id: EventId | UnsetType = UNSET
    item_id: str
    content_index: Index
    audio_end_ms: Milliseconds


class ResponseCreate(Struct, frozen=True, kw_only=True, tag_field="type", tag="response.create"):
    """Ask for a reply."""

    event_id: EventId | UnsetType = UNSET
    response: ResponseCreateParams = ResponseCreateParams()


class ResponseCancel(Struct, frozen=True, kw_only=True, tag_field="type", tag="response.cancel"):
    """Without `response_id`: the active response of the default conversation."""

    event_id: EventId | UnsetType = UNSET
    response_id: str | None = None


ClientEvent = (
    SessionUpdate
    | InputAudioBufferAppend
    | InputAudioBufferCommit
    | InputAudioBufferClear
    | OutputAudioBufferClear
    | ConversationItemCreate
    | ConversationItemRetrieve
    | ConversationItemDelete
    | ConversationItemTruncate
    | ResponseCreate
    | ResponseCancel
)

CLIENT_EVENTS: dict[str, type[ClientEvent]] = {
    str(cls.__struct_config__.tag): cls for cls in get_args(ClientEvent)
}
"""Every client event class by its wire name."""
