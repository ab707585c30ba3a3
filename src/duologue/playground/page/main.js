// Ties the page together: button and call give events, the fold gives the state, the view shows it.

import { call } from "./call.js";
import { fold, start } from "./fold.js";
import { meter } from "./meter.js";
import { show, showLevels } from "./view.js";

let state = start;
let line = null;
let attempt = 0;
const levels = { mine: null, theirs: null };
const button = document.getElementById("talk");
const key = document.getElementById("key");
const sound = document.getElementById("sound");
let context = null;

function tell(event) {
  state = fold(state, event, performance.now());
  show(state);
}

function heard(event) {
  tell(event);
  if (event.type === "session.created") {
    const input = { transcription: { model: "gpt-4o-mini-transcribe" } };
    line.send({ type: "session.update", session: { type: "realtime", audio: { input } } });
  }
  if (event.type === "conversation.item.truncated") {
    line.send({ type: "conversation.item.retrieve", item_id: event.item_id });
  }
}

async function begin() {
  const mine = ++attempt;
  const mineOnly = (f) => (...args) => mine === attempt && f(...args);
  tell({ type: "page.called" });
  context ??= new AudioContext();
  context.resume();
  try {
    const made = await call(
      {
        event: mineOnly(heard),
        trouble: mineOnly((kind) => end({ type: "page.trouble", kind })),
        network: mineOnly((kind) => tell({ type: `page.${kind}` })),
        voice: mineOnly((stream) => {
          sound.srcObject = stream;
          sound.play().catch(() => {});
          levels.theirs = meter(context, stream);
        }),
      },
      key.value.trim(),
    );
    if (mine !== attempt) return made.close();
    line = made;
    levels.mine = meter(context, made.mic);
  } catch (fault) {
    if (mine === attempt) end({ type: "page.trouble", kind: fault.kind ?? "other", text: fault.message });
  }
}

function end(event) {
  attempt += 1;
  line?.close();
  line = levels.mine = levels.theirs = sound.srcObject = null;
  tell(event);
  if (state.needsKey) key.focus();
}

button.addEventListener("click", () => (state.phase === "idle" ? begin() : end({ type: "page.hung_up" })));
document.getElementById("key-row").addEventListener("submit", (event) => {
  event.preventDefault();
  if (state.phase === "idle") begin();
});
addEventListener("pagehide", () => line?.close());

(function draw() {
  showLevels(levels.mine?.() ?? 0, levels.theirs?.() ?? 0);
  requestAnimationFrame(draw);
})();
show(state);
