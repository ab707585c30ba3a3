// The stock `openai` package over the `ws` package, interrupted by its user:
//     node openai_barge_in.mjs QUESTION.pcm INTERRUPTION.pcm
//
// A spoken question; the interruption, spoken as soon as the answer is heard; its answer. The
// package plays nothing: as an application does, this counts what a loudspeaker would have played
// and truncates the answer to that. Prints one JSON object. It dials wss:// whatever the base
// URL says.
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { speak } from './microphone.mjs';

const [question, interruption] = process.argv.slice(2).map((file) => readFileSync(file));
const client = new OpenAI({ apiKey: process.env.API_KEY, baseURL: process.env.BASE_URL });
const realtime = new OpenAIRealtimeWS({ model: 'gpt-realtime' }, client);
const report = { errors: [], transcripts: [], responses: [], truncated: [], said: {}, kept: null };
const answer = { id: null, began: 0, ms: 0, isOver: false };
const send = (pcm) =>
  realtime.send({ type: 'input_audio_buffer.append', audio: pcm.toString('base64') });
let speaking;

realtime.on('error', (error) => report.errors.push({ ...error.error }));
realtime.on('session.created', () => {
  realtime.send({
    type: 'session.update',
    session: {
      type: 'realtime',
      instructions: process.env.INSTRUCTIONS,
      max_output_tokens: 96, // small models can repeat themselves without end
      audio: { input: { transcription: { model: 'whisper-1' } } },
    },
  });
});
realtime.on('session.updated', () => {
  speaking = speak(question, send);
});
realtime.on('response.output_audio.delta', ({ item_id, delta }) => {
  if (answer.id === null) {
    answer.id = item_id;
    answer.began = performance.now();
    speaking.then(() => speak(interruption, send));
  }
  if (answer.id === item_id) answer.ms += Buffer.from(delta, 'base64').length / 48;
});
realtime.on('response.output_audio_transcript.delta', ({ item_id, delta }) => {
  report.said[item_id] = (report.said[item_id] ?? '') + delta;
});
realtime.on('input_audio_buffer.speech_started', () => {
  if (answer.id === null || answer.isOver) return;
  answer.isOver = true;
  const played = Math.min(performance.now() - answer.began, answer.ms);
  realtime.send({
    type: 'conversation.item.truncate',
    item_id: answer.id,
    content_index: 0,
    audio_end_ms: Math.floor(played),
  });
});
realtime.on('conversation.item.truncated', ({ item_id, audio_end_ms }) => {
  report.truncated.push([item_id, audio_end_ms]);
  realtime.send({ type: 'conversation.item.retrieve', item_id });
});
realtime.on('conversation.item.retrieved', ({ item }) => {
  const [{ transcript, audio }] = item.content;
  report.kept = { transcript, audio_ms: Buffer.from(audio, 'base64').length / 48 };
  closeWhenWhole();
});
realtime.on('conversation.item.input_audio_transcription.completed', (event) => {
  report.transcripts.push(event.transcript);
  closeWhenWhole();
});
realtime.on('response.done', ({ response }) => {
  report.responses.push([response.status, response.output[0]?.id]);
  closeWhenWhole();
});

function closeWhenWhole() {
  const whole = report.transcripts.length === 2 && report.responses.length === 2;
  if (whole && report.kept) realtime.close();
}
realtime.socket.on('close', (code) => {
  console.log(JSON.stringify({ ...report, closed: code }));
});
