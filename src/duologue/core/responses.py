"""The responses of a session: at most one writes to the default conversation at a time.

Requests come in (`response.create`, a turn's end, cancellations) and engine events by job;
`Respond` and `Cancel` go out. Events of a job that is over are ignored: work has an id.
"""

from collections.abc import Callable
from typing import Literal

from msgspec import UNSET

from duologue.core import talk
from duologue.core.batch import Batch
from duologue.core.conversation import Conversation, Entry
from duologue.core.inputs import ReplyEvent, ReplyFailed
from duologue.core.items import complete_item
from duologue.core.outputs import Cancel, DropAudio, Respond, Unasked
from duologue.core.playout import Playout
from duologue.core.rate_limits import UNLIMITED, Allowance
from duologue.core.response import ResponseMachine, ResponseSettings
from duologue.core.settings import Settings
from duologue.core.talk import Began, Call, Done, Say
from duologue.errors import Refusal
from duologue.events import (
    InputItem,
    ItemReference,
    ResponseAudio,
    ResponseAudioOutput,
    ResponseCreateParams,
)

OUT_OF_BAND_LIMIT = 16
"""Out-of-band responses that may run side by side."""


class Responses:
    """Every response in progress, by job; `active` is the one of the default conversation."""

    def __init__(
        self,
        batch: Batch,
        conversation: Conversation,
        settings: Settings,
        new_id: Callable[[str], str],
        playout: Playout | None = None,
    ) -> None:
        self._batch = batch
        self._conversation = conversation
        self._settings = settings
        self._new_id = new_id
        self._playout = playout
        self._by_job: dict[str, ResponseMachine] = {}
        self.active: ResponseMachine | None = None
        self.voice_locked = False
        self.allowance: Allowance = UNLIMITED
        """What the limits of the caller's key leave, as last heard."""

    def create(
        self,
        params: ResponseCreateParams,
        now: float,
        speech_end: float | None = None,
        *,
        automatic: bool = False,
    ) -> ResponseMachine:
        """Start a response, or refuse and change nothing.

        An automatic one that is beyond the caller's limits begins and fails at once: there is
        no event of the client that could be refused.
        """
        self._check_room(keeps=params.conversation == "auto")
        params = self._settings.prompted(params, voice_locked=self.voice_locked)
        self._check(params)
        excess = _excess(self.allowance, now)
        if excess is not None and not automatic:
            raise excess
        context = None if params.input is UNSET else self._context(params.input)
        ask = self._settings.ask(params, context)
        response = self._begin(params, ask, excess, speech_end)
        if not response.over:
            self._batch.add(Respond(response.job, ask))
        return response

    def create_unasked(
        self, params: ResponseCreateParams, now: float, speech_end: float | None
    ) -> ResponseMachine:
        """A response that a model which owns the floor has begun by itself, as `params` say.

        Beyond the caller's limits it fails at once, and is over.
        """
        ask = self._settings.ask(params, None)
        response = self._begin(params, ask, _excess(self.allowance, now), speech_end)
        if not response.over:
            self._batch.add(Unasked(response.job, ask))
        return response

    def check_nudge(
        self, params: ResponseCreateParams, now: float
    ) -> tuple[ResponseCreateParams, talk.Ask]:
        """What a client that would like the model to speak asks for, with what its prompt lends.

        Raises `Refusal`.
        """
        params = self._settings.prompted(params, voice_locked=self.voice_locked)
        self._check(params)
        if excess := _excess(self.allowance, now):
            raise excess
        return params, self._settings.ask(params, None)

    def _begin(
        self,
        params: ResponseCreateParams,
        ask: talk.Ask,
        excess: Refusal | None,
        speech_end: float | None,
    ) -> ResponseMachine:
        keeps = params.conversation == "auto"
        job = self._new_id("job")
        response = ResponseMachine(
            self._batch,
            self._conversation,
            self._new_id,
            keeps=keeps,
            job=job,
            ask=ask,
            settings=self._shown(params, ask),
            context_tokens=self._settings.context_tokens,
            speech_end=speech_end,
            playout=self._playout,
        )
        self._by_job[job] = response
        if keeps:
            self.active = response
        if excess is not None:
            response.fail(excess.code, excess.message, excess.type)
            self._forget(response)
        return response

    def cancel(self, response_id: str | None) -> None:
        """The client cancels a response by id, or the active one."""
        target = self.active
        if response_id is not None:
            known = (r for r in self._by_job.values() if r.id == response_id)
            target = next(known, None)
        if target is None:
            raise Refusal(
                "response_cancel_not_active", "Cancellation failed: no active response found"
            )
        if self._playout is None:
            self._batch.add(DropAudio(target.id))
            self._stop(target, "client_cancelled")
            return
        stopped = self._playout.stop(target.id)
        self._stop(target, "client_cancelled")
        self._playout.tell_cleared(stopped)
        self._playout.tell_truncated(stopped)

    def interrupt(self) -> None:
        """The user speaks: cancel the response of the default conversation, if there is one."""
        if self.active is not None:
            self._stop(self.active, "turn_detected")

    def abandon(self) -> None:
        """The session is over: what its responses have used is used, though nobody is told."""
        for response in list(self._by_job.values()):
            response.abandon()
            self._forget(response)

    def take(self, entry: ReplyEvent | ReplyFailed, now: float) -> None:
        """Take an event of a job; nothing if the job is over."""
        response = self._by_job.get(entry.job)
        if response is None:
            return
        match entry:
            case ReplyEvent(event=Say() as say):  # first, since most are these
                response.say(say, now)
                self.voice_locked |= response.voiced
            case ReplyFailed(code=code, message=message):
                response.fail(code, message)
            case ReplyEvent(event=Began() as began):
                response.begin(began)
            case ReplyEvent(event=Call() as call):
                response.call(call)
            case ReplyEvent(event=Done() as done):
                response.finish(done)
        if response.over:
            if isinstance(entry, ReplyEvent) and not isinstance(entry.event, Done):
                self._batch.add(Cancel(response.job))  # its limit ended it
            self._forget(response)

    def _stop(
        self, response: ResponseMachine, reason: Literal["turn_detected", "client_cancelled"]
    ) -> None:
        response.cancel(reason)
        self._batch.add(Cancel(response.job))
        self._forget(response)

    def _forget(self, response: ResponseMachine) -> None:
        del self._by_job[response.job]
        if self.active is response:
            self.active = None

    def _check_room(self, *, keeps: bool) -> None:
        if keeps and self.active is not None:
            raise Refusal(
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress: "
                f"{self.active.id}. Wait until the response is finished before creating a new one.",
            )
        if not keeps and sum(not r.keeps for r in self._by_job.values()) >= OUT_OF_BAND_LIMIT:
            raise Refusal(
                "rate_limit_exceeded",
                f"{OUT_OF_BAND_LIMIT} out-of-band responses are in progress already.",
            )

    def _check(self, params: ResponseCreateParams) -> None:
        tools = self._settings.session.tools
        if params.tools is not UNSET:
            tools = self._settings.check_tools(params.tools, "response.tools")
        if params.tool_choice is not UNSET:
            param = "response.tool_choice"
            self._settings.check_tool_choice(params.tool_choice, tools, param)
        self._settings.check_response(params)
        voice = params.audio.output.voice if params.audio and params.audio.output else UNSET
        if voice:
            param = "response.audio.output.voice"
            self._settings.check_voice(voice, param, voice_locked=self.voice_locked)

    def _context(self, given: tuple[InputItem, ...]) -> tuple[talk.Item, ...]:
        return tuple(self._resolve(item, f"response.input[{n}]") for n, item in enumerate(given))

    def _resolve(self, item: InputItem, param: str) -> talk.Item:
        if isinstance(item, ItemReference):
            return self._conversation.find(item.id, "invalid_value", f"{param}.id").to_talk()
        self._settings.check_content(item, param)
        whole, sounds = complete_item(item, self._new_id, param)
        return Entry(whole, sounds=sounds, media_id=self._new_id("media")).to_talk()

    def _shown(self, params: ResponseCreateParams, ask: talk.Ask) -> ResponseSettings:
        session = self._settings.session
        own = params.audio.output if params.audio else UNSET
        sound = own.format if own and own.format else session.audio.output.format
        output = ResponseAudioOutput(format=sound, voice=ask.voice)
        return ResponseSettings(
            audio=ResponseAudio(output=output),
            max_output_tokens=params.max_output_tokens or session.max_output_tokens,
            metadata=params.metadata,
        )


def _excess(allowance: Allowance, now: float) -> Refusal | None:
    """The refusal of a response that would be beyond the limits, with the time to wait."""
    wait_s = allowance.open_at - now
    if wait_s <= 0:
        return None
    return Refusal(
        "rate_limit_exceeded",
        f"Rate limit reached for {allowance.name}: {allowance.limit} per minute. "
        f"Please try again in {wait_s:.3f}s.",
        type="rate_limit_error",
    )
