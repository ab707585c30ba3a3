// From the fold's state to the page; the page holds no other truth.

const $ = (id) => document.getElementById(id);
const STATUS = {
  idle: "Press to talk",
  connecting: "Connecting…",
  live: "Listening",
};
const BUTTON = { idle: "Start talking", connecting: "Stop", live: "Stop talking" };

export function show(state) {
  document.body.dataset.phase = state.phase;
  document.body.dataset.who = state.speaking ? "assistant" : state.hearing ? "user" : "";
  $("status").textContent = statusOf(state);
  $("talk").setAttribute("aria-pressed", String(state.phase !== "idle"));
  $("talk").setAttribute("aria-label", BUTTON[state.phase]);
  $("trouble").textContent = state.trouble?.text ?? "";
  $("trouble").hidden = !state.trouble;
  $("key-row").hidden = !state.needsKey;
  const shown = state.turns.filter((turn) => turn.text || !turn.done);
  $("hint").hidden = shown.length > 0;
  showTurns($("turns"), shown);
}

export function showLevels(mine, theirs) {
  for (const [id, level] of [["mine", mine], ["theirs", theirs]]) {
    $(id).style.setProperty("--level", level.toFixed(3));
  }
  $("talk").style.setProperty("--level", Math.max(mine, theirs).toFixed(3));
}

function statusOf(state) {
  if (state.phase !== "live") return STATUS[state.phase];
  if (state.hearing) return "Hearing you";
  if (state.speaking) return "Speaking — talk over it to interrupt";
  return state.thinking ? "Thinking" : STATUS.live;
}

/** Changes only what is different, so that screen readers say each word once. */
function showTurns(list, turns) {
  const near = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  while (list.children.length > turns.length) list.lastChild.remove();
  turns.forEach((turn, n) => {
    const row = list.children[n] ?? list.appendChild(newRow());
    const [who, words, note] = row.children;
    row.className = `turn ${turn.who}`;
    row.dataset.id = turn.id;
    set(who, turn.who === "user" ? "You" : "duologue");
    set(words, turn.text || "…");
    set(note, noteOf(turn));
    row.classList.toggle("waiting", !turn.text);
    row.classList.toggle("cut", turn.cut);
  });
  if (near) list.scrollTop = list.scrollHeight;
}

function noteOf(turn) {
  const notes = [];
  if (turn.latencyMs !== null) notes.push(`answered after ${(turn.latencyMs / 1000).toFixed(2)} s`);
  if (turn.cut) notes.push("interrupted: the words that were heard");
  return notes.join(" · ");
}

function newRow() {
  const row = document.createElement("li");
  for (const name of ["who", "words", "note"]) {
    const part = document.createElement(name === "words" ? "p" : "span");
    part.className = name;
    row.append(part);
  }
  return row;
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
