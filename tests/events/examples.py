"""Hand-made instances of every event, as a real session would see them.

`SERVER_EXAMPLES` are structs by wire name, `CLIENT_EXAMPLES` the JSON that clients send.
"""

import base64
from typing import Any

from duologue import events as ev

SESSION = ev.RealtimeSession(
    id="sess_1",
    model="gpt-realtime",
    expires_at=1_760_000_000,
    audio=ev.Audio(output=ev.AudioOutput(voice="marin")),
)

SECRET_TOOL = ev.McpTool(
    server_label="files",
    server_url="https://example.org/mcp",
    authorization="hush",
    headers={"X-Key": "hush"},
    allowed_tools=("read",),
    require_approval=ev.McpApprovalFilter(never=ev.McpToolFilter(read_only=True)),
)

FULL_SESSION = ev.RealtimeSession(
    id="sess_2",
    model="gpt-realtime",
    expires_at=1_760_000_000,
    output_modalities=("text",),
    instructions="Be brief.",
    audio=ev.Audio(
        input=ev.AudioInput(
            format=ev.AudioPcmu(),
            noise_reduction=ev.NoiseReduction(type="near_field", strength=0.5),
            transcription=ev.AudioTranscription(model="whisper-1", language="en", prompt=None),
            turn_detection=ev.SemanticVad(eagerness="low"),
        ),
        output=ev.AudioOutput(voice=ev.VoiceId(id="voice_1"), speed=1.25),
    ),
    tools=ev.echo_tools(
        (ev.FunctionTool(name="clock", parameters={"type": "object"}), SECRET_TOOL)
    ),
    tool_choice=ev.FunctionChoice(name="clock"),
    parallel_tool_calls=True,
    reasoning=ev.Reasoning(effort="low"),
    max_output_tokens=500,
    truncation=ev.RetentionRatio(
        retention_ratio=0.8, token_limits=ev.TokenLimits(post_instructions=2000)
    ),
    tracing=ev.TracingConfig(workflow_name="call", metadata={"a": 1}),
    prompt=ev.Prompt(id="pmpt_1", version="2", variables={"name": "Ada"}),
    include=("item.input_audio_transcription.logprobs",),
)

TRANSCRIPTION_SESSION = ev.TranscriptionSession(
    id="sess_3",
    expires_at=1_760_000_000,
    audio=ev.TranscriptionAudio(
        input=ev.TranscriptionAudioInput(transcription=ev.AudioTranscription(model="whisper-1"))
    ),
)

USER_ITEM = ev.MessageItem(id="item_u", status="completed", role="user", content=(ev.InputAudio(),))
ASSISTANT_ITEM = ev.MessageItem(
    id="item_a",
    status="completed",
    role="assistant",
    content=(ev.OutputAudio(transcript="Hello there."),),
)
CALL_ITEM = ev.FunctionCallItem(
    id="item_f", status="in_progress", name="clock", call_id="call_1", arguments=""
)
LISTED = ev.McpListToolsItem(
    id="mcpl_1",
    server_label="files",
    tools=(ev.McpListedTool(name="read", input_schema={"type": "object"}),),
)
MCP_CALLS = tuple(
    ev.McpCallItem(
        id="mcp_1", server_label="files", name="read", arguments="{}", output=output, error=error
    )
    for output, error in (
        (None, None),
        ("text", None),
        (None, ev.McpProtocolError(code=-32600, message="bad request")),
        (None, ev.McpHttpError(code=502, message="bad gateway")),
        (None, ev.McpToolExecutionError(message="no such file")),
    )
)
ITEMS: tuple[ev.Item, ...] = (
    USER_ITEM,
    ev.MessageItem(
        id="item_u2",
        status="completed",
        role="user",
        content=(
            ev.InputText(text="Look:"),
            ev.InputImage(image_url="data:image/png;base64,AA=="),
            ev.InputAudio(audio=b"\0\0", transcript="look"),
        ),
    ),
    ev.MessageItem(
        id="item_s", status="completed", role="system", content=(ev.InputText(text="Be kind."),)
    ),
    ev.MessageItem(id="item_a0", status="in_progress", role="assistant", content=()),
    ASSISTANT_ITEM,
    ev.MessageItem(
        id="item_a2",
        status="incomplete",
        role="assistant",
        content=(ev.OutputText(text="Hi"), ev.OutputAudio(audio=b"\1\0", transcript="Hi")),
    ),
    CALL_ITEM,
    ev.FunctionCallOutputItem(
        id="item_o", status="completed", call_id="call_1", output='{"time":"12:00"}'
    ),
    LISTED,
    *MCP_CALLS,
    ev.McpApprovalRequestItem(id="mcpr_1", server_label="files", name="read", arguments="{}"),
    ev.McpApprovalResponseItem(
        id="item_p", approval_request_id="mcpr_1", approve=False, reason="no"
    ),
)

AUDIO = ev.ResponseAudio(output=ev.ResponseAudioOutput(format=ev.AudioPcm(), voice="marin"))
USAGE = ev.Usage(
    total_tokens=30,
    input_tokens=20,
    output_tokens=10,
    input_token_details=ev.InputTokenDetails(
        text_tokens=5,
        audio_tokens=15,
        cached_tokens=4,
        cached_tokens_details=ev.CachedTokensDetails(text_tokens=4),
    ),
    output_token_details=ev.OutputTokenDetails(text_tokens=3, audio_tokens=7),
)
RUNNING = ev.Response(
    id="resp_1", conversation_id="conv_1", audio=AUDIO, metadata={"topic": "time"}
)
RESPONSES = (
    ev.Response(
        id="resp_1",
        status="completed",
        output=ITEMS,
        conversation_id="conv_1",
        max_output_tokens=100,
        audio=AUDIO,
        usage=USAGE,
    ),
    *(
        ev.Response(id="resp_2", status=status, status_details=details, audio=AUDIO, usage=USAGE)
        for status, details in (
            ("cancelled", ev.CancelledDetails(reason="turn_detected")),
            ("cancelled", ev.CancelledDetails(reason="client_cancelled")),
            ("incomplete", ev.IncompleteDetails(reason="max_output_tokens")),
            ("incomplete", ev.IncompleteDetails(reason="content_filter")),
            (
                "failed",
                ev.FailedDetails(
                    error=ev.ResponseError(
                        type="server_error", code="engine_error", message="The voice broke."
                    )
                ),
            ),
        )
    ),
)

_OF_ITEM: dict[str, Any] = {"event_id": "event_1", "item_id": "item_a"}
_OF_OUTPUT: dict[str, Any] = _OF_ITEM | {"response_id": "resp_1", "output_index": 0}
_OF_PART: dict[str, Any] = _OF_OUTPUT | {"content_index": 0}
_OF_CALL: dict[str, Any] = _OF_OUTPUT | {"call_id": "call_1"}
_OF_SPEECH: dict[str, Any] = {"event_id": "event_1", "item_id": "item_u", "content_index": 0}
_LOGPROBS = (ev.LogProb(token="Hé", logprob=-0.5, bytes=(72, 195, 169)),)

_SERVER: tuple[ev.ServerEvent, ...] = (
    ev.SessionCreated(event_id="event_1", session=SESSION),
    ev.SessionCreated(event_id="event_1", session=TRANSCRIPTION_SESSION),
    ev.SessionUpdated(event_id="event_1", session=FULL_SESSION),
    ev.SessionUpdated(event_id="event_1", session=TRANSCRIPTION_SESSION),
    ev.Error(
        event_id="event_1",
        error=ev.ErrorDetail(type="invalid_request_error", code="invalid_json", message="No."),
    ),
    ev.Error(
        event_id="event_1",
        error=ev.ErrorDetail(
            type="invalid_request_error",
            code="invalid_value",
            message="No.",
            param="session.audio.output.voice",
            event_id="mine",
        ),
    ),
    ev.ConversationCreated(event_id="event_1", conversation=ev.Conversation(id="conv_1")),
    *(ev.ConversationItemAdded(event_id="e", previous_item_id=None, item=item) for item in ITEMS),
    *(ev.ConversationItemDone(event_id="e", previous_item_id="item_0", item=i) for i in ITEMS),
    *(ev.ConversationItemRetrieved(event_id="e", item=item) for item in ITEMS),
    ev.ConversationItemDeleted(event_id="event_1", item_id="item_a"),
    ev.ConversationItemTruncated(**_OF_ITEM, content_index=0, audio_end_ms=1200),
    ev.ConversationItemInputAudioTranscriptionDelta(**_OF_SPEECH, delta="Hel"),
    ev.ConversationItemInputAudioTranscriptionDelta(**_OF_SPEECH, delta="H", logprobs=None),
    ev.ConversationItemInputAudioTranscriptionCompleted(
        **_OF_SPEECH, transcript="Hello", usage=ev.TranscriptionDuration(seconds=1.5)
    ),
    ev.ConversationItemInputAudioTranscriptionCompleted(
        **_OF_SPEECH,
        transcript="Hello",
        usage=ev.TranscriptionTokens(
            total_tokens=12,
            input_tokens=10,
            input_token_details=ev.TranscriptionTokenDetails(audio_tokens=10),
            output_tokens=2,
        ),
        languages=(ev.TranscriptionLanguage(code="en"),),
        logprobs=_LOGPROBS,
    ),
    ev.ConversationItemInputAudioTranscriptionFailed(
        **_OF_SPEECH, error=ev.TranscriptionError(type="server_error", message="Deaf.")
    ),
    ev.ConversationItemInputAudioTranscriptionSegment(
        **_OF_SPEECH, id="seg_1", text="Hello", speaker="A", start=0.0, end=1.5
    ),
    ev.InputAudioBufferCommitted(event_id="event_1", previous_item_id=None, item_id="item_u"),
    ev.InputAudioBufferCleared(event_id="event_1"),
    ev.InputAudioBufferSpeechStarted(event_id="event_1", audio_start_ms=100, item_id="item_u"),
    ev.InputAudioBufferSpeechStopped(event_id="event_1", audio_end_ms=2100, item_id="item_u"),
    ev.InputAudioBufferTimeoutTriggered(
        event_id="event_1", audio_start_ms=100, audio_end_ms=6100, item_id="item_u"
    ),
    ev.InputAudioBufferDtmfEventReceived(event_id="event_1", event="9", received_at=1_760_000_000),
    ev.OutputAudioBufferStarted(event_id="event_1", response_id="resp_1"),
    ev.OutputAudioBufferStopped(event_id="event_1", response_id="resp_1"),
    ev.OutputAudioBufferCleared(event_id="event_1", response_id="resp_1"),
    ev.ResponseCreated(event_id="event_1", response=RUNNING),
    *(ev.ResponseDone(event_id="event_1", response=response) for response in RESPONSES),
    *(
        kind(event_id="event_1", response_id="resp_1", output_index=0, item=item)
        for kind in (ev.ResponseOutputItemAdded, ev.ResponseOutputItemDone)
        for item in (ASSISTANT_ITEM, CALL_ITEM, *MCP_CALLS)
    ),
    ev.ResponseContentPartAdded(**_OF_PART, part=ev.AudioPart(transcript="")),
    ev.ResponseContentPartAdded(**_OF_PART, part=ev.TextPart(text="")),
    ev.ResponseContentPartDone(**_OF_PART, part=ev.AudioPart(transcript="Hello")),
    ev.ResponseContentPartDone(**_OF_PART, part=ev.TextPart(text="Hello")),
    ev.ResponseOutputTextDelta(**_OF_PART, delta="Hel"),
    ev.ResponseOutputTextDone(**_OF_PART, text="Hello"),
    ev.ResponseOutputAudioDelta(**_OF_PART, delta=bytes(range(256))),
    ev.ResponseOutputAudioDone(**_OF_PART),
    ev.ResponseOutputAudioTranscriptDelta(**_OF_PART, delta="Hel"),
    ev.ResponseOutputAudioTranscriptDone(**_OF_PART, transcript="Hello"),
    ev.ResponseFunctionCallArgumentsDelta(**_OF_CALL, delta='{"a'),
    ev.ResponseFunctionCallArgumentsDone(**_OF_CALL, name="clock", arguments='{"a":1}'),
    ev.ResponseMcpCallArgumentsDelta(**_OF_OUTPUT, delta='{"a'),
    ev.ResponseMcpCallArgumentsDone(**_OF_OUTPUT, arguments='{"a":1}'),
    ev.ResponseMcpCallInProgress(**_OF_ITEM, output_index=0),
    ev.ResponseMcpCallCompleted(**_OF_ITEM, output_index=0),
    ev.ResponseMcpCallFailed(**_OF_ITEM, output_index=0),
    ev.McpListToolsInProgress(**_OF_ITEM),
    ev.McpListToolsCompleted(**_OF_ITEM),
    ev.McpListToolsFailed(**_OF_ITEM),
    ev.RateLimitsUpdated(
        event_id="event_1",
        rate_limits=(ev.RateLimit(name="tokens", limit=100, remaining=90, reset_seconds=1.5),),
    ),
)

SERVER_EXAMPLES: dict[str, list[ev.ServerEvent]] = {}
for _event in _SERVER:
    SERVER_EXAMPLES.setdefault(str(_event.__struct_config__.tag), []).append(_event)

SOUND = base64.b64encode(bytes(960)).decode()
"""20 ms at 24 kHz."""

_UPDATE = {
    "type": "realtime",
    "model": "gpt-realtime",
    "output_modalities": ["audio"],
    "instructions": "",
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "noise_reduction": None,
            "transcription": {"model": "whisper-1", "language": None},
            "turn_detection": {"type": "server_vad", "threshold": 0.6, "idle_timeout_ms": None},
        },
        "output": {"format": {"type": "audio/pcma"}, "voice": {"id": "voice_1"}, "speed": None},
    },
    "tools": [
        {"type": "function", "name": "f", "description": "F.", "parameters": {"type": "object"}},
        {"type": "mcp", "server_label": "files", "authorization": "hush"},
    ],
    "tool_choice": {"type": "mcp", "server_label": "files"},
    "max_output_tokens": "inf",
    "truncation": {"type": "retention_ratio", "retention_ratio": 1},
    "tracing": None,
    "prompt": None,
    "include": ["item.input_audio_transcription.logprobs"],
}
_CLIENT: tuple[dict[str, Any], ...] = (
    {"type": "session.update", "event_id": "mine", "session": _UPDATE},
    {"type": "session.update", "session": {"type": "realtime"}},
    {
        "type": "session.update",
        "session": {
            "type": "transcription",
            "audio": {"input": {"transcription": {"model": "w"}, "turn_detection": None}},
        },
    },
    {"type": "input_audio_buffer.append", "audio": SOUND},
    {"type": "input_audio_buffer.append", "event_id": "mine", "audio": ""},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear", "event_id": "mine"},
    {"type": "output_audio_buffer.clear"},
    {
        "type": "conversation.item.create",
        "previous_item_id": "root",
        "item": {
            "id": "item_1",
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Hi"},
                {"type": "input_audio", "audio": SOUND, "transcript": None},
                {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
            ],
        },
    },
    {
        "type": "conversation.item.create",
        "previous_item_id": None,
        "item": {"type": "function_call_output", "call_id": "call_1", "output": "{}"},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call", "name": "f", "arguments": "{}"},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "mcp_approval_response", "approval_request_id": "m", "approve": True},
    },
    {"type": "conversation.item.retrieve", "item_id": "item_1"},
    {"type": "conversation.item.delete", "item_id": "item_1"},
    {
        "type": "conversation.item.truncate",
        "item_id": "item_1",
        "content_index": 0,
        "audio_end_ms": 0,
    },
    {"type": "response.create"},
    {"type": "response.create", "response": {"input": [], "conversation": "none"}},
    {
        "type": "response.create",
        "response": {
            "output_modalities": ["text"],
            "instructions": "Sum up.",
            "metadata": {"topic": "sum"},
            "max_output_tokens": 20,
            "tools": None,
            "input": [
                {"type": "item_reference", "id": "item_1"},
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "Hi"}],
                },
                {"type": "function_call", "name": "f", "call_id": "c", "arguments": "{}"},
            ],
        },
    },
    {"type": "response.cancel"},
    {"type": "response.cancel", "response_id": "resp_1"},
)

CLIENT_EXAMPLES: dict[str, list[dict[str, Any]]] = {}
for _raw in _CLIENT:
    CLIENT_EXAMPLES.setdefault(_raw["type"], []).append(_raw)
