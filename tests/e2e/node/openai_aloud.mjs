// The stock `openai` package over the `ws` package, asking aloud: node openai_aloud.mjs QUESTION.pcm
//
// One spoken question and its spoken answer. Prints one JSON object. It dials wss:// whatever
// the base URL says.
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { speak } from './microphone.mjs';

const question = readFileSync(process.argv[2]);
const client = new OpenAI({ apiKey: process.env.API_KEY, baseURL: process.env.BASE_URL });
const realtime = new OpenAIRealtimeWS({ model: 'gpt-realtime' }, client);
const report = { url: String(realtime.url), errors: [], sound_bytes: 0 };

realtime.on('error', (error) => report.errors.push({ ...error.error }));
realtime.on('session.created', () => {
  realtime.send({
    type: 'session.update',
    session: {
      type: 'realtime',
      max_output_tokens: 64, // small models can repeat themselves without end
      audio: { input: { transcription: { model: 'whisper-1' } } },
    },
  });
});
realtime.on('session.updated', () =>
  speak(question, (pcm) =>
    realtime.send({ type: 'input_audio_buffer.append', audio: pcm.toString('base64') }),
  ),
);
realtime.on('response.output_audio.delta', ({ delta }) => {
  report.sound_bytes += Buffer.from(delta, 'base64').length;
});

function closeWhenWhole() {
  if (report.heard !== undefined && report.status !== undefined) realtime.close();
}
realtime.on('conversation.item.input_audio_transcription.completed', ({ transcript }) => {
  report.heard = transcript;
  closeWhenWhole();
});
realtime.on('response.done', ({ response }) => {
  report.status = response.status;
  report.usage = response.usage;
  report.said = response.output[0].content[0].transcript;
  closeWhenWhole();
});
realtime.socket.on('close', (code) => {
  console.log(JSON.stringify({ ...report, closed: code }));
});
