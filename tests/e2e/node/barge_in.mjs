// The stock `@openai/agents-realtime` RealtimeSession over WebSocket, interrupted by its user:
//     node barge_in.mjs QUESTION.pcm INTERRUPTION.pcm
//
// A spoken question; the interruption, spoken as soon as the answer is heard; its answer. Prints
// one JSON object, which names every event that the client's own schemas do not accept: the
// client drops those without a word.
import { readFileSync } from 'node:fs';
import { RealtimeAgent, RealtimeSession } from '@openai/agents-realtime';
import { speak } from './microphone.mjs';

const schemas = './node_modules/@openai/agents-realtime/dist/openaiRealtimeEvents.mjs';
const { parseRealtimeEvent } = await import(new URL(schemas, import.meta.url));

const [question, interruption] = process.argv.slice(2).map((file) => readFileSync(file));
const report = { errors: [], dropped: [], interruptions: 0, truncated: [], said: {} };
const agent = new RealtimeAgent({ name: 'Ava', instructions: 'Tell long stories.' });
const session = new RealtimeSession(agent, {
  transport: 'websocket',
  model: 'gpt-realtime',
  // A limit, since small models can repeat themselves without end.
  config: { providerData: { max_output_tokens: 96 } },
});

let news = () => {};
let turns = 0;
let isHeard = false;
const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => (news = resolve));
};
session.on('error', (error) => report.errors.push(JSON.stringify(error)));
session.on('audio', () => {
  isHeard = true;
  news();
});
session.on('audio_interrupted', () => (report.interruptions += 1));
session.on('agent_end', () => {
  turns += 1;
  news();
});
session.on('history_updated', () => news());
session.on('transport_event', (event) => {
  const { isGeneric } = parseRealtimeEvent({ data: JSON.stringify(event) });
  if (isGeneric) report.dropped.push(event.type);
  if (event.type === 'conversation.item.truncated') {
    report.truncated.push([event.item_id, event.audio_end_ms]);
  }
  if (event.type === 'response.output_audio_transcript.delta') {
    report.said[event.item_id] = (report.said[event.item_id] ?? '') + event.delta;
  }
});

const url = `${process.env.BASE_URL.replace('http', 'ws')}/realtime?model=gpt-realtime`;
await session.connect({ apiKey: process.env.API_KEY, url });
const send = (pcm) => {
  const { buffer, byteOffset, byteLength } = pcm;
  session.sendAudio(buffer.slice(byteOffset, byteOffset + byteLength));
};
await speak(question, send);
await until(() => isHeard);
await speak(interruption, send);
await until(() => turns === 2);
// What is left of an interrupted answer comes by way of a retrieved item, and so do words of the user.
const silent = (item) => item.role === 'user' && item.content.some((p) => p.transcript === null);
const messages = () => session.history.filter((item) => item.type === 'message');
await until(() => messages().length === 4 && !messages().some(silent));
report.history = messages().map((item) => ({
  id: item.itemId,
  role: item.role,
  status: item.status,
  text: item.content.map((p) => p.transcript ?? p.text).join(''),
}));
session.close();
console.log(JSON.stringify(report));
