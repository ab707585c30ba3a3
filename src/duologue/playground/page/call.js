// One WebRTC call: microphone and events out, voice and events in.
//
// `call(handlers, key)` resolves to `{send, close, mic}` once the server has answered; it throws
// a `Trouble` whose `kind` the fold has words for. `handlers`: event(e), voice(stream),
// trouble(kind), network("shaky"|"restarting"|"steady"). When the network is gone or another one, the
// call restarts ICE by itself: the same call goes on.

export class Trouble extends Error {
  constructor(kind, text) {
    super(text ?? kind);
    this.kind = kind;
  }
}

const GIVE_UP_MS = 8000; // for the first connection
const HEAL_MS = 3000; // a short outage heals by itself
const RESTART_MS = 4000; // for one restart
const MEND_MS = 40000; // the server waits no longer either

export async function call({ event, voice, trouble, network }, key) {
  const mic = await microphone();
  const peer = new RTCPeerConnection();
  let giveUp = 0;
  let over = false;
  let wasUp = false;
  let mending = false;
  const close = () => {
    over = true;
    clearTimeout(giveUp);
    peer.close();
    mic.getTracks().forEach((track) => track.stop());
  };
  const lose = (kind) => {
    if (over) return;
    close();
    trouble(kind);
  };
  const isUp = () => over || peer.connectionState === "connected";
  async function mend(restart) {
    if (mending || over) return;
    mending = true;
    network("shaky");
    giveUp = setTimeout(lose, MEND_MS, "lost");
    await until(peer, HEAL_MS, () => isUp() || peer.connectionState === "failed");
    while (!isUp()) {
      network("restarting");
      const began = performance.now();
      await restart().catch(({ kind }) => (kind === "gone" || kind === "key_wrong") && lose("lost"));
      await until(peer, Math.max(500, RESTART_MS - (performance.now() - began)), isUp);
    }
    clearTimeout(giveUp);
    mending = false;
    network("steady");
  }
  try {
    peer.addTrack(mic.getAudioTracks()[0], mic);
    peer.ontrack = ({ track, streams }) => voice(streams[0] ?? new MediaStream([track]));
    const channel = peer.createDataChannel("oai-events");
    channel.onmessage = ({ data }) => event(JSON.parse(data));
    channel.onclose = () => lose("lost");
    await peer.setLocalDescription();
    await gathered(peer);
    const secret = key || (await localSecret());
    const made = await post("/v1/realtime/calls?model=gpt-realtime&duologue_resume=1", peer, secret);
    const restart = async () => {
      await peer.setLocalDescription(await peer.createOffer({ iceRestart: true }));
      await gathered(peer);
      const { sdp } = await post(`${made.location}/restart`, peer, secret, RESTART_MS);
      await peer.setRemoteDescription({ type: "answer", sdp });
    };
    peer.onconnectionstatechange = () => {
      const state = peer.connectionState;
      if (state === "connected" && !mending) clearTimeout(giveUp);
      wasUp ||= state === "connected";
      if (state === "failed" && !wasUp) lose("unreachable");
      if (wasUp && (state === "disconnected" || state === "failed")) mend(restart);
    };
    giveUp = setTimeout(lose, GIVE_UP_MS, "unreachable");
    await peer.setRemoteDescription({ type: "answer", sdp: made.sdp });
    return { send: (e) => channel.readyState === "open" && channel.send(JSON.stringify(e)), close, mic };
  } catch (fault) {
    close();
    throw fault;
  }
}

/** Until a condition of the peer's connection holds, or time is over. */
function until(peer, ms, holds) {
  return new Promise((resolve) => {
    const look = () => holds() && done();
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      peer.removeEventListener("connectionstatechange", look);
      resolve();
    }
    peer.addEventListener("connectionstatechange", look);
    look();
  });
}

async function microphone() {
  if (!navigator.mediaDevices) throw new Trouble("insecure");
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
  } catch (fault) {
    if (fault.name === "NotAllowedError") throw new Trouble("microphone_denied");
    if (fault.name === "NotFoundError") throw new Trouble("microphone_missing");
    throw new Trouble("microphone_failed");
  }
}

function gathered(peer) {
  return new Promise((resolve) => {
    if (peer.iceGatheringState === "complete") return resolve();
    peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && resolve();
    setTimeout(resolve, 1000); // what was found by then will do
  });
}

/** The answer to the peer's offer, and where the call is. */
async function post(url, peer, secret, ms) {
  const reply = await request(url, {
    method: "POST",
    headers: { "Content-Type": "application/sdp", Authorization: `Bearer ${secret}` },
    body: peer.localDescription.sdp,
    signal: ms && AbortSignal.timeout(ms),
  });
  if (reply.ok) return { sdp: await reply.text(), location: reply.headers.get("Location") };
  const text = await reply.json().then((body) => body.error?.message, () => undefined);
  if (reply.status === 401) throw new Trouble("key_wrong");
  if (reply.status === 404) throw new Trouble("gone", text);
  if (reply.status === 429 || reply.status === 503) throw new Trouble("busy");
  throw new Trouble("refused", text ?? `The server answered ${reply.status}.`);
}

/** A secret for a page on the server's own machine, which needs no key. */
async function localSecret() {
  const reply = await request("/playground/secret", { method: "POST" });
  if (!reply.ok) throw new Trouble("key_needed");
  return (await reply.json()).value;
}

async function request(url, options) {
  try {
    return await fetch(url, options);
  } catch {
    throw new Trouble("unreachable");
  }
}
