// The stock `@openai/agents-realtime` RealtimeSession over WebSocket:
//     node agents.mjs QUESTION.pcm INTERRUPTION.pcm | node agents.mjs QUESTION.pcm
//
// A typed turn, a spoken turn with a tool, an interruption and the turn after it, and one with the
// image that is at IMAGE; or, with one file, a typed and a spoken turn only. Prints one JSON object, which names every event that
// the client's own schemas do not accept: the client drops those without a word.
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';

const schemas = './node_modules/@openai/agents-realtime/dist/openaiRealtimeEvents.mjs';
const { parseRealtimeEvent } = await import(new URL(schemas, import.meta.url));

const [question, interruption] = process.argv.slice(2).map((file) => {
  const bytes = readFileSync(file);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
});
const report = { errors: [], dropped: [], tools: [], interruptions: 0, sound_bytes: 0 };
const weather = tool({
  name: 'get_weather',
  description: 'The weather in a city.',
  strict: true,
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
  execute: async ({ city }) => {
    report.tools.push(city);
    return `sunny in ${city}`;
  },
});
const agent = new RealtimeAgent({
  name: 'Ava',
  instructions: 'Be brief.',
  tools: interruption ? [weather] : [],
});
const session = new RealtimeSession(agent, {
  transport: 'websocket',
  model: 'gpt-realtime',
  // A limit, since small models can repeat themselves without end.
  config: { providerData: { max_output_tokens: 64 } },
});

let news = () => {};
let turns = 0;
let playing = false;
session.on('error', (error) => report.errors.push(JSON.stringify(error)));
session.on('transport_event', (event) => {
  const { isGeneric } = parseRealtimeEvent({ data: JSON.stringify(event) });
  if (isGeneric) report.dropped.push(event.type);
});
session.on('audio_interrupted', () => (report.interruptions += 1));
session.on('audio', ({ data }) => {
  report.sound_bytes += data.byteLength;
  playing = true;
  news();
});
session.on('agent_end', () => {
  turns += 1;
  playing = false;
  news();
});
const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => (news = resolve));
};

const url = `${process.env.BASE_URL.replace('http', 'ws')}/realtime?model=gpt-realtime`;
await session.connect({ apiKey: process.env.API_KEY, url });
session.sendMessage('Good day');
await until(() => turns === 1);
await setTimeout(report.sound_bytes / 48 + 100); // listen to the end before speaking
session.sendAudio(question);
if (interruption) {
  await until(() => turns === 2 && playing);
  session.sendAudio(interruption);
  await until(() => turns === 4);
  const dropped = report.dropped;
  report.dropped = report.dropped_of_image = [];
  session.addImage(process.env.IMAGE);
  await until(() => turns === 5);
  report.dropped = dropped;
} else {
  await until(() => turns === 2);
}
// The transcript of the last turn comes by way of a retrieved item.
const silent = (item) => item.role === 'user' && item.content.some((p) => p.transcript === null);
session.on('history_updated', () => news());
await until(() => !session.history.some(silent));
report.history = session.history.map((item) => ({
  role: item.role ?? item.type,
  status: item.status,
  text: item.type === 'function_call' ? item.output : item.content.map((p) => p.transcript ?? p.text).join(''),
}));
session.close();
console.log(JSON.stringify(report));
