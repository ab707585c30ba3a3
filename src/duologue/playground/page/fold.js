// What happened, as one pure fold: (state, event, at) -> state.
//
// Events are those of the server, and `page.*` for what happens in the page itself. `at` is in
// milliseconds of one clock. Nothing here touches the page, the network or a clock, and no state
// that was given is changed.

/** @typedef {{id: string, who: "user"|"assistant", text: string, cut: boolean, done: boolean,
 *   latencyMs: number|null}} Turn */

export const start = Object.freeze({
  phase: "idle", // idle | connecting | live
  trouble: null, // {kind, text}: what went wrong last, in words
  needsKey: false,
  hearing: false, // the user speaks
  speaking: false, // the server speaks
  thinking: false, // a turn is over and nothing is heard yet
  turnEndedAt: null,
  turns: [],
});

const TROUBLE = {
  microphone_denied:
    "The microphone is not allowed. Allow it for this page in the browser's settings, then try again.",
  microphone_missing: "No microphone was found. Plug one in, then try again.",
  microphone_failed: "The microphone could not be opened. Another program may be using it.",
  insecure:
    "Browsers give a microphone only to pages from this machine or over https. See the guide on TLS.",
  key_needed: "This server wants a key. Enter it above, then try again.",
  key_wrong: "That key is not right. Check it, then try again.",
  busy: "All places are taken. Try again in a moment.",
  unreachable: "The server does not answer. Is it still running?",
  lost: "The connection was lost. Your words up to here are below; press to talk again.",
};

export function fold(state, event, at) {
  const arm = ARMS[event.type];
  return arm ? { ...state, ...arm(state, event, at) } : state;
}

const over = { hearing: false, speaking: false, thinking: false, turnEndedAt: null };

const ARMS = {
  "page.called": () => ({ ...over, phase: "connecting", trouble: null, turns: [] }),
  "page.hung_up": (s) => ({ ...over, phase: "idle", turns: s.turns.map(finished) }),
  "page.trouble": (s, e) => ({
    ...over,
    phase: "idle",
    trouble: { kind: e.kind, text: TROUBLE[e.kind] ?? e.text },
    needsKey: s.needsKey || e.kind === "key_needed" || e.kind === "key_wrong",
    turns: s.turns.map(finished),
  }),
  "page.shaky": (s) => (s.phase === "live" ? { trouble: { kind: "shaky", text: "The network is shaky; trying to hold the line." } } : {}),
  "page.restarting": (s) => (s.phase === "live" ? { trouble: { kind: "shaky", text: "The network was lost; connecting again. Your conversation is kept." } } : {}),
  "page.steady": (s) => (s.trouble?.kind === "shaky" ? { trouble: null } : {}),

  "session.created": () => ({ phase: "live" }),
  error: (s, e) => ({ trouble: { kind: "server", text: e.error.message } }),

  "input_audio_buffer.speech_started": (s, e) => ({
    hearing: true,
    turns: put(s.turns, turn(e.item_id, "user")),
  }),
  "input_audio_buffer.speech_stopped": (s, e, at) => ({
    hearing: false,
    thinking: true,
    turnEndedAt: at,
  }),
  "conversation.item.input_audio_transcription.delta": (s, e) => ({
    turns: change(s.turns, e.item_id, (t) => ({ text: t.text + e.delta })),
  }),
  "conversation.item.input_audio_transcription.completed": (s, e) => ({
    turns: change(s.turns, e.item_id, () => ({ text: e.transcript.trim(), done: true })),
  }),
  "conversation.item.input_audio_transcription.failed": (s, e) => ({
    turns: change(s.turns, e.item_id, (t) => ({ text: t.text || "(not understood)", done: true })),
  }),

  "response.output_item.added": (s, e) =>
    e.item.type === "message" ? { turns: put(s.turns, turn(e.item.id, "assistant")) } : {},
  "response.output_audio_transcript.delta": saying,
  "response.output_text.delta": saying,
  // Written to its end may still be a moment before the first sound.
  "response.done": (s, e) => ({
    thinking: s.thinking && e.response.output.some((item) => item.type === "message"),
    turns: e.response.output.reduce((turns, item) => change(turns, item.id, () => ({ done: true })), s.turns),
    ...(e.response.status === "failed"
      ? { trouble: { kind: "server", text: e.response.status_details?.error?.message ?? "The answer failed." } }
      : {}),
  }),
  "output_audio_buffer.started": (s, e, at) => ({
    speaking: true,
    thinking: false,
    turnEndedAt: null,
    turns: s.turnEndedAt === null ? s.turns : timed(s.turns, Math.round(at - s.turnEndedAt)),
  }),
  "output_audio_buffer.stopped": () => ({ speaking: false }),
  "output_audio_buffer.cleared": () => ({ speaking: false }),

  // The page asks for the item then, and the server's copy holds the words that were heard.
  "conversation.item.truncated": (s, e) => ({
    turns: change(s.turns, e.item_id, () => ({ cut: true, done: true })),
  }),
  "conversation.item.retrieved": (s, e) => ({
    turns: change(s.turns, e.item.id, (t) => ({ text: wordsOf(e.item) ?? t.text })),
  }),
  "conversation.item.deleted": (s, e) => ({ turns: s.turns.filter((t) => t.id !== e.item_id) }),
};

function saying(s, e) {
  return { turns: change(s.turns, e.item_id, (t) => (t.cut ? {} : { text: t.text + e.delta })) };
}

function turn(id, who) {
  return { id, who, text: "", cut: false, done: false, latencyMs: null };
}

function put(turns, one) {
  return turns.some((t) => t.id === one.id) ? turns : [...turns, one];
}

function change(turns, id, how) {
  return turns.map((t) => (t.id === id ? { ...t, ...how(t) } : t));
}

function finished(t) {
  return t.done ? t : { ...t, done: true };
}

/** Gives the latency to the last answer, unless it has one. */
function timed(turns, latencyMs) {
  const last = turns.findLastIndex((t) => t.who === "assistant");
  return turns.map((t, n) => (n === last && t.latencyMs === null ? { ...t, latencyMs } : t));
}

function wordsOf(item) {
  const words = (item.content ?? []).map((part) => part.transcript ?? part.text).filter((w) => w != null);
  return words.length ? words.join(" ").trim() : null;
}
