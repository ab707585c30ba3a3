// The page's fold, by the events of whole conversations. Run by `node --test`.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fold, start } from "../../src/duologue/playground/page/fold.js";

/** The state after `[at, event]` pairs; the state before each step is frozen through and through. */
function after(steps, from = start) {
  return steps.reduce((state, [at, event]) => fold(frozen(state), event, at), from);
}

function frozen(value) {
  if (value && typeof value === "object") Object.values(value).forEach(frozen);
  return Object.freeze(value);
}

const asked = [
  [0, { type: "page.called" }],
  [100, { type: "session.created" }],
  [1000, { type: "input_audio_buffer.speech_started", item_id: "U" }],
  [2000, { type: "input_audio_buffer.speech_stopped", item_id: "U" }],
];
const answered = [
  [2100, { type: "conversation.item.input_audio_transcription.delta", item_id: "U", delta: "What is" }],
  [2200, { type: "response.output_item.added", item: { id: "A", type: "message" } }],
  [2210, { type: "response.output_audio_transcript.delta", item_id: "A", delta: "It is " }],
  [2300, { type: "output_audio_buffer.started", response_id: "R" }],
  [2310, { type: "response.output_audio_transcript.delta", item_id: "A", delta: "sunny and warm." }],
  [2400, { type: "conversation.item.input_audio_transcription.completed", item_id: "U", transcript: " What is it like? " }],
];
const done = [2500, { type: "response.done", response: { status: "completed", output: [{ id: "A", type: "message" }] } }];

test("a turn has both transcripts and the time until the voice", () => {
  const state = after([...asked, ...answered, done, [5000, { type: "output_audio_buffer.stopped" }]]);
  assert.deepEqual(state.turns, [
    { id: "U", who: "user", text: "What is it like?", cut: false, done: true, latencyMs: null },
    { id: "A", who: "assistant", text: "It is sunny and warm.", cut: false, done: true, latencyMs: 300 },
  ]);
  assert.equal(state.speaking, false);
});

test("who speaks is known at each moment", () => {
  const said = (n) => {
    const { hearing, thinking, speaking } = after([...asked, ...answered].slice(0, n));
    return { hearing, thinking, speaking };
  };
  assert.deepEqual(said(3), { hearing: true, thinking: false, speaking: false });
  assert.deepEqual(said(4), { hearing: false, thinking: true, speaking: false });
  assert.deepEqual(said(8), { hearing: false, thinking: false, speaking: true });
});

test("the latency counts also where the answer is written before it is heard", () => {
  const started = answered.splice(3, 1)[0];
  const written = after([...asked, ...answered, done]);
  const state = after([[2600, started[1]]], written);
  answered.splice(3, 0, started);
  assert.deepEqual([written.thinking, state.thinking], [true, false]);
  assert.equal(state.turns[1].latencyMs, 600);
});

test("after an interruption only the heard words stay", () => {
  const state = after([
    ...asked,
    ...answered,
    [2600, { type: "input_audio_buffer.speech_started", item_id: "V" }],
    [2610, { type: "output_audio_buffer.cleared", response_id: "R" }],
    [2620, { type: "conversation.item.truncated", item_id: "A", audio_end_ms: 290 }],
    [2625, { type: "response.output_audio_transcript.delta", item_id: "A", delta: " And more" }],
    [2630, { type: "conversation.item.retrieved", item: { id: "A", content: [{ type: "output_audio", transcript: "It is" }] } }],
  ]);
  const turn = state.turns.find((t) => t.id === "A");
  assert.equal(turn.text, "It is");
  assert.equal(turn.cut, true);
  assert.equal(state.speaking, false);
  assert.equal(state.hearing, true);
});

test("an answer that was cut before a word of it was heard has no words", () => {
  const state = after([
    ...asked,
    ...answered,
    [2600, { type: "conversation.item.truncated", item_id: "A", audio_end_ms: 0 }],
    [2610, { type: "conversation.item.retrieved", item: { id: "A", content: [{ type: "output_audio", transcript: "" }] } }],
  ]);
  assert.equal(state.turns[1].text, "");
});

test("troubles are told in words and end the call, and the words stay", () => {
  for (const kind of ["microphone_denied", "microphone_missing", "lost", "unreachable", "busy"]) {
    const state = after([...asked, ...answered, [3000, { type: "page.trouble", kind }]]);
    assert.equal(state.phase, "idle");
    assert.equal(state.trouble.kind, kind);
    assert.match(state.trouble.text, /^[A-Z].{20,}\.|\?$/);
    assert.equal(state.speaking, false);
    assert.equal(state.turns.length, 2);
    assert.equal(state.needsKey, false);
  }
});

test("a trouble without words of its own has those that came with it", () => {
  const state = after([[0, { type: "page.trouble", kind: "refused", text: "No audio in this offer." }]]);
  assert.equal(state.trouble.text, "No audio in this offer.");
});

test("the field for a key comes when one is needed and stays", () => {
  let state = after([[0, { type: "page.called" }], [1, { type: "page.trouble", kind: "key_needed" }]]);
  assert.equal(state.needsKey, true);
  state = after(asked, state);
  assert.deepEqual([state.needsKey, state.trouble, state.phase], [true, null, "live"]);
});

test("a shaky network is told while it lasts and hides no other trouble", () => {
  const shaky = after([...asked, [3000, { type: "page.shaky" }]]);
  assert.equal(shaky.trouble.kind, "shaky");
  assert.equal(after([[3100, { type: "page.steady" }]], shaky).trouble, null);
  const restarting = after([[3100, { type: "page.restarting" }]], shaky);
  assert.match(restarting.trouble.text, /connecting again/);
  assert.deepEqual(restarting.turns, shaky.turns);
  assert.equal(after([[3200, { type: "page.steady" }]], restarting).trouble, null);
  const other = after([[3100, { type: "error", error: { message: "No." } }], [3200, { type: "page.steady" }]], shaky);
  assert.equal(other.trouble.text, "No.");
});

test("an answer that fails says why", () => {
  const failed = { status: "failed", output: [], status_details: { error: { message: "The model broke." } } };
  const state = after([...asked, [2100, { type: "response.done", response: failed }]]);
  assert.deepEqual([state.trouble.text, state.thinking], ["The model broke.", false]);
});

test("function calls are no turns, and deleted items are gone", () => {
  let state = after([...asked, [2100, { type: "response.output_item.added", item: { id: "F", type: "function_call" } }]]);
  assert.deepEqual(state.turns.map((t) => t.id), ["U"]);
  state = after([[2200, { type: "conversation.item.deleted", item_id: "U" }]], state);
  assert.deepEqual(state.turns, []);
});

test("events that it does not know, and items that it does not know, change nothing", () => {
  const before = after([...asked, ...answered]);
  assert.equal(fold(before, { type: "rate_limits.updated" }, 1), before);
  const late = fold(before, { type: "conversation.item.truncated", item_id: "Z" }, 1);
  assert.deepEqual(late, before);
});

test("a new call begins with an empty page", () => {
  const state = after([...asked, ...answered, [3000, { type: "page.hung_up" }], [4000, { type: "page.called" }]]);
  assert.deepEqual(state, { ...start, phase: "connecting" });
});
