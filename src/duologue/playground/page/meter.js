// How loud a stream is, 0 to 1, on a scale that fits a voice.

const FLOOR_DB = -55;

export function meter(context, stream) {
  const analyser = new AnalyserNode(context, { fftSize: 1024 });
  new MediaStreamAudioSourceNode(context, { mediaStream: stream }).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  return () => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
    const db = 10 * Math.log10(power + 1e-9);
    return Math.min(Math.max((db - FLOOR_DB) / -FLOOR_DB, 0), 1);
  };
}
