// Sound as a microphone gives it: 20 ms of 24 kHz mono PCM at a time, in real time.
import { setTimeout } from 'node:timers/promises';

const FRAME_BYTES = 960;

export async function speak(pcm, send) {
  const began = performance.now();
  for (let start = 0; start < pcm.length; start += FRAME_BYTES) {
    send(pcm.subarray(start, start + FRAME_BYTES));
    const due = began + (start / FRAME_BYTES + 1) * 20;
    await setTimeout(Math.max(0, due - performance.now()));
  }
}
