// The share of a step outside the engine.
import assert from 'node:assert/strict';
import test from 'node:test';
import { timeOutsideEngine } from './outside-engine.js';

const span = (cat: string, startMs: number, endMs: number) => ({
  ...{ ph: 'X', cat, ts: 1000 * startMs, dur: 1000 * (endMs - startMs) },
});

test('segments count inside of steps only; kernels are inside of segments and are not counted again', () => {
  const times = timeOutsideEngine([
    { ph: 'M' },
    ...[span('step', 10, 20), span('data', 10, 11), span('engine', 11, 17), span('kernels', 11, 17)],
    ...[span('collectives', 17, 19), span('optimizer', 19, 20), span('engine', 21, 25)],
    ...[span('step', 30, 40), span('engine', 31, 40)],
  ]);
  assert.deepEqual(times, { stepMs: 20, engineMs: 15, byTrackMs: { data: 1, collectives: 2, optimizer: 1 } });
});
