// One WebRTC call: microphone and events out, voice and events in.
//
// `call(handlers, key)` resolves to `{send, close, mic}` once the server has answered; it throws
// a `Trouble` whose `kind` the fold has words for. `handlers`: event(e), voice(stream),
// trouble(kind), network("shaky"|"steady").

export class Trouble extends Error {
  constructor(kind, text) {
    super(text ?? kind);
    this.kind = kind;
  }
}

const GIVE_UP_MS = 8000;

export async function call({ event, voice, trouble, network }, key) {
  const mic = await microphone();
  const peer = new RTCPeerConnection();
  let giveUp = 0;
  let over = false;
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
  try {
    peer.addTrack(mic.getAudioTracks()[0], mic);
    peer.ontrack = ({ track, streams }) => voice(streams[0] ?? new MediaStream([track]));
    const channel = peer.createDataChannel("oai-events");
    channel.onmessage = ({ data }) => event(JSON.parse(data));
    channel.onclose = () => lose("lost");
    peer.onconnectionstatechange = () => {
      clearTimeout(giveUp);
      if (peer.connectionState === "failed") lose("lost");
      if (peer.connectionState === "connected") network("steady");
      if (peer.connectionState === "disconnected") {
        network("shaky");
        giveUp = setTimeout(lose, GIVE_UP_MS, "lost");
      }
    };
    await peer.setLocalDescription();
    await gathered(peer);
    await peer.setRemoteDescription({ type: "answer", sdp: await answer(peer.localDescription.sdp, key) });
    giveUp = setTimeout(lose, GIVE_UP_MS, "unreachable");
    return { send: (e) => channel.readyState === "open" && channel.send(JSON.stringify(e)), close, mic };
  } catch (fault) {
    close();
    throw fault;
  }
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

async function answer(offer, key) {
  const reply = await request("/v1/realtime/calls?model=gpt-realtime", {
    method: "POST",
    headers: { "Content-Type": "application/sdp", Authorization: `Bearer ${key || (await localSecret())}` },
    body: offer,
  });
  if (reply.ok) return reply.text();
  const text = await reply.json().then((body) => body.error?.message, () => undefined);
  if (reply.status === 401) throw new Trouble("key_wrong");
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
