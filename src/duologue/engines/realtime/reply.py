"""One upstream response: its `response.*` events in, `Began`, `Say`, `Call`, `Done` out.

Pure: no clock, no socket. An upstream tells usage at the very end, which an interrupted reply
does not wait for: until then it is estimated, of what was said rather too low, so that the end
can make up for it. It remembers what the upstream made (`made`), so that the talk can
tell its items again when the core puts them, and how much of each has been passed on.
"""

from collections.abc import Callable, Iterator, Mapping

from duologue.arguments import is_object
from duologue.audio import pcm as audio
from duologue.core.talk import Ask, Began, Call, Counts, Done, Item, ReplyEvent, Say
from duologue.engines.calls import UNCALLED, is_required, is_wanted
from duologue.engines.pace import Pace, Voiced
from duologue.engines.realtime.sound import decoded
from duologue.engines.realtime.wire import Fault, Tokens, UpstreamEvent, UpstreamResponse, usage_of
from duologue.errors import EngineFault

CHARACTERS_PER_TOKEN = 6
"""Of text that is written: more than nearly all tokenizers put into one token."""


class Made:
    """What the core takes for one item: `ids` are its names at the upstream.

    Messages that follow each other are one to the core. `done` once it is whole; `marks` are
    (characters, samples) after each piece of sound that was passed on. `voiced` estimates the
    characters where the upstream does not tell the words of each sound before it.
    """

    def __init__(self, item_id: str, *, is_call: bool, voiced: Voiced | None = None) -> None:
        self.voiced = voiced
        self.ids = [item_id]
        self.call_id: str | None = None
        self.name = ""
        self.text = ""
        self.content_index = 0
        self.done = False
        self.is_call = is_call
        self.index = 0
        self.samples = 0
        self.marks: list[tuple[int, int]] = []

    def end_ms(self, text: str) -> int:
        """How long the sound is that ends with `text`, the beginning of what was passed on."""
        known = len(text.rstrip())
        ends = (samples for chars, samples in reversed(self.marks) if self._said(chars) <= known)
        return audio.ms_of_samples(next(ends, 0))

    def is_of(self, item: Item) -> bool:
        """Whether the core means this one: a call by its words, a message by its beginning."""
        if item.call is not None:
            call = item.call
            return self.is_call and (self.name, self.text) == (call.name, call.arguments)
        text = item.parts[0].text or "" if item.parts else ""
        return not self.is_call and self.text.startswith(text)

    def is_all_of(self, item: Item) -> bool:
        """Whether the core has all of it."""
        text = item.parts[0].text or "" if item.parts else ""
        return self.is_call or (self.done and text == self.text)

    def _said(self, chars: int) -> int:
        """The end of the last whole word in the first `chars` characters."""
        head = self.text[:chars]
        if self.text[chars : chars + 1].strip() and head[-1:].strip():
            head = head[: len(head) - len(head.split()[-1])]
        return len(head.rstrip())


class Reply:
    """The events of one response, in order; raises `EngineFault` where it failed.

    `pace` is that of the voice, None where the upstream sends the words of each sound just before
    it, as another duologue does. `reads` is the estimate of what it reads; `believes` says whether
    it can have read and written so many tokens, else estimates stand. Calls are judged by `ask`.
    """

    def __init__(
        self,
        pace: Pace | None,
        reads: Counts | None = None,
        believes: Callable[[int, int], bool] = lambda read, made: True,
        ask: Ask | None = None,
    ) -> None:
        self._ask = ask
        self._reads = reads
        self._believes = believes
        self._characters = 0
        self._tokens = 0
        self.made: list[Made] = []
        self.passed_over: set[str] = set()
        """The upstream's names of calls that are nobody's."""
        self.over = False
        self._by_id: dict[str, Made] = {}
        self.calls = 0
        """So many were passed on."""
        self._rest = b""
        self._pace = pace

    def take(self, event: UpstreamEvent) -> Iterator[ReplyEvent]:
        """What follows from an event of this response."""
        match event.type:
            case "response.created":
                if self._reads:
                    yield Began(self._reads)
            case "response.output_item.added" | "response.output_item.done":
                yield from self._item(event)
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                if event.delta:
                    made = self._message(event)
                    yield self._write(made, event.delta)
            case "response.output_audio.delta":
                made = self._message(event)
                if pcm := self._sound(event.delta or ""):
                    yield self._say(made, pcm)
            case "response.function_call_arguments.delta":
                if call := self._by_id.get(event.item_id):
                    yield from self._argue(call, event.delta or "")
            case "response.function_call_arguments.done":
                if call := self._by_id.get(event.item_id):
                    yield from self._close_call(call, event.name, event.arguments)
            case "response.done":
                yield from self._done(event.response or UpstreamResponse())

    def _item(self, event: UpstreamEvent) -> Iterator[ReplyEvent]:
        item = event.item
        if item is None or not item.id:
            return
        if item.type == "function_call":
            if item.id in self.passed_over:
                return
            made = self._named(item.id, is_call=True)
            made.call_id = made.call_id or item.call_id
            if item.name and not made.name:
                yield from self._name(made, item.name)
            is_whole = event.type.endswith("done") and item.status != "incomplete"
            if is_whole and item.id not in self.passed_over:
                yield from self._close_call(made, item.name, item.arguments)
        elif item.type == "message":
            made = self._named(item.id)
            made.done = False
            if event.type.endswith("done"):
                made.done = True
                if item.text and not made.text:  # an upstream that tells the words at the end
                    yield self._write(made, item.text)
                if item.status != "incomplete" and made.voiced is not None:
                    made.voiced.end()

    def _named(self, item_id: str, *, is_call: bool = False) -> Made:
        made = self._by_id.get(item_id)
        if made is not None:
            return made
        self._rest = b""
        last = self.made[-1] if self.made else None
        if last is not None and not last.is_call and not is_call:
            last.ids.append(item_id)
            made = last
        else:
            voiced = Voiced(self._pace) if self._pace is not None else None
            made = Made(item_id, is_call=is_call, voiced=voiced)
            self.made.append(made)
        self._by_id[item_id] = made
        return made

    def _message(self, event: UpstreamEvent) -> Made:
        made = self._named(event.item_id)
        made.content_index = event.content_index
        return made

    def _sound(self, delta: str) -> bytes:
        """Whole samples; half of one may come with the next delta."""
        pcm = self._rest + decoded(delta)
        whole = len(pcm) - len(pcm) % audio.SAMPLE_BYTES
        self._rest = pcm[whole:]
        return pcm[:whole]

    def _write(self, made: Made, text: str) -> Say:
        made.text += text
        if made.voiced is not None:
            made.voiced.say(text)
        return Say(text, tokens=self._spent(text))

    def _say(self, made: Made, pcm: bytes) -> Say:
        samples = audio.samples(pcm)
        made.samples += samples
        if made.voiced is None:
            voiced = len(made.text)
        else:
            voiced = made.voiced.sound(samples / audio.RATE_HZ)
        made.marks.append((voiced, made.samples))
        return Say("", pcm, voiced)

    def _name(self, made: Made, name: str) -> Iterator[ReplyEvent]:
        """A call's name is known: it is told, or passed over for ever."""
        if not self._is_wanted(name):
            if made in self.made:  # no longer, where the reply was discarded
                self.made.remove(made)
            self.passed_over.add(made.ids[0])
            del self._by_id[made.ids[0]]
            return
        made.name, made.index = name, self.calls
        self.calls += 1
        yield Call(made.index, name=name)
        early, made.text = made.text, ""
        yield from self._argue(made, early)

    def _is_wanted(self, name: str) -> bool:
        try:
            return self._ask is None or is_wanted(self._ask, name, self.calls)
        except ValueError as fault:
            raise EngineFault(f"The upstream answered with {fault}.") from None

    def _argue(self, made: Made, delta: str) -> Iterator[ReplyEvent]:
        if delta and made.is_call and not made.done:
            made.text += delta
            if made.name:
                yield Call(made.index, delta=delta, tokens=self._spent(delta))

    def _close_call(
        self, made: Made, name: str | None, arguments: str | None
    ) -> Iterator[ReplyEvent]:
        if made.done or not made.is_call:
            return
        if not made.name:
            yield from self._name(made, name or "")
        if not made.name:
            return
        if arguments and not made.text:
            yield from self._argue(made, arguments)
        if not made.text.strip():
            yield from self._argue(made, "{}")
        if is_object(made.text):
            made.done = True
            yield Call(made.index, final=True)

    def _spent(self, text: str) -> int:
        """The tokens that more text has cost at least."""
        before = self._tokens
        self._characters += len(text)
        self._tokens = -(-self._characters // CHARACTERS_PER_TOKEN)
        return self._tokens - before

    def read(self, response: UpstreamResponse) -> Iterator[Began]:
        """What it has read, where the upstream says so."""
        yield from self._used(response)[0]

    def _used(self, response: UpstreamResponse) -> tuple[list[Began], int]:
        """What it has read, and the tokens of text that it has written beyond those estimated."""
        usage = usage_of(response.usage)
        if usage is None:
            return [], 0
        read = usage.input_token_details or Tokens(text_tokens=usage.input_tokens)
        said = usage.output_token_details or Tokens(text_tokens=usage.output_tokens)
        counts, written = _counts(read), max(0, said.text_tokens or 0)
        if not self._believes(sum(counts.values()), written):
            return [], 0
        cached = _counts(read.cached_tokens_details or Tokens())
        return [Began(counts, cached)] if counts else [], max(0, written - self._tokens)

    def _done(self, response: UpstreamResponse) -> Iterator[ReplyEvent]:
        self.over = True
        details = response.status_details
        read, tokens = self._used(response)
        yield from read
        match response.status or "completed":
            case "completed":
                for call in [made for made in self.made if made.is_call]:
                    yield from self._close_call(call, None, None)
                    if call.name and not call.done:
                        what = f"called {call.name[:64]} with arguments that are no JSON object"
                        raise EngineFault(f"The upstream {what}.")
                if self._ask is not None and is_required(self._ask) and not self.calls:
                    raise EngineFault(f"The upstream {UNCALLED}.")
                yield Done(tokens=tokens)
            case "incomplete":
                reason = details.reason if details else None
                filtered = reason == "content_filter"
                yield Done("filtered" if filtered else "length", tokens)
            case "failed":
                raise failure((details and details.error) or Fault())
            case status:
                raise EngineFault(f"The upstream ended its response as '{status[:40]}'.")


def failure(error: Fault) -> EngineFault:
    """Why a response failed, as the upstream says."""
    message = error.message or "It gave no reason."
    return EngineFault(f"The upstream failed: {message}", error.code or "engine_error")


def _counts(tokens: Tokens) -> Counts:
    counts: Mapping[str, int | None] = {
        "text": tokens.text_tokens,
        "audio": tokens.audio_tokens,
        "image": tokens.image_tokens,
    }
    return {name: count for name, count in counts.items() if count and count > 0}
