// The stock `openai` package over the `ws` package: node openai.mjs QUESTION.pcm INTERRUPTION.pcm
//
// A spoken turn with a tool, an interruption with truncation, a refused event, a text reply
// apart from the conversation and a typed turn in it. Prints one JSON object. It dials wss:// whatever the base URL says.
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';

const [question, interruption] = process.argv.slice(2).map((file) => readFileSync(file));
const client = new OpenAI({ apiKey: process.env.API_KEY, baseURL: process.env.BASE_URL });
const realtime = new OpenAIRealtimeWS({ model: 'gpt-realtime' }, client);
const report = { url: String(realtime.url), errors: [], transcripts: [], responses: [] };

function speak(pcm) {
  for (let start = 0; start < pcm.length; start += 960) {
    const audio = pcm.subarray(start, start + 960).toString('base64');
    realtime.send({ type: 'input_audio_buffer.append', audio });
  }
}

realtime.on('error', (error) => report.errors.push({ ...error.error }));
realtime.on('session.created', () => {
  realtime.send({
    type: 'session.update',
    session: {
      type: 'realtime',
      instructions: 'Be brief.',
      audio: { input: { transcription: { model: 'whisper-1' } } },
      tools: [{ type: 'function', name: 'get_weather', parameters: { type: 'object' } }],
    },
  });
});
realtime.on('session.updated', () => speak(question));
realtime.on('conversation.item.input_audio_transcription.completed', (event) =>
  report.transcripts.push(event.transcript),
);
let interrupted = false;
realtime.on('response.output_audio.delta', () => {
  if (!interrupted) speak(interruption);
  interrupted = true;
});
realtime.on('conversation.item.truncated', (event) =>
  realtime.send({ type: 'conversation.item.retrieve', item_id: event.item_id }),
);
realtime.on('conversation.item.retrieved', (event) => {
  report.kept = event.item.content[0].transcript;
});
realtime.on('response.done', ({ response }) => {
  const [item] = response.output;
  report.responses.push([response.status, item.type]);
  if (report.responses.length === 1) {
    report.arguments = JSON.parse(item.arguments);
    const output = { type: 'function_call_output', call_id: item.call_id, output: 'sunny' };
    realtime.send({ type: 'conversation.item.create', item: output });
    realtime.send({ type: 'response.create' });
  } else if (report.responses.length === 2) {
    const cut = { item_id: item.id, content_index: 0, audio_end_ms: 240 };
    realtime.send({ type: 'conversation.item.truncate', ...cut });
  } else if (report.responses.length === 3) {
    realtime.send({ type: 'conversation.item.delete', item_id: 'none', event_id: 'mine' });
    realtime.send({
      type: 'response.create',
      response: {
        conversation: 'none',
        output_modalities: ['text'],
        metadata: { topic: 'aside' },
      },
    });
  } else if (report.responses.length === 4) {
    report.aside = [response.metadata, item.content[0].text];
    const content = [{ type: 'input_text', text: 'Good day' }];
    const typed = { type: 'message', role: 'user', content };
    realtime.send({ type: 'conversation.item.create', item: typed });
    realtime.send({ type: 'response.create' });
  } else {
    report.typed = item.content[0].transcript;
    realtime.close();
  }
});
realtime.socket.on('close', (code) => {
  console.log(JSON.stringify({ ...report, closed: code }));
});
