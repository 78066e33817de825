// The kernel is what its source says and has the bits of the same arithmetic in JavaScript, which is in double precision.
import assert from 'node:assert/strict';
import test from 'node:test';
import { RandomStream } from '@slip/core';
import type { TensorEntry } from '../architecture.js';
import { type AdamWArenas, adamW } from './adamw.js';
import { kernelSources } from './compile-kernels.js';

const HYPER = { lr: 3e-3, beta1: 0.9, beta2: 0.98, eps: 1e-8, weightDecay: 0.1, gradScale: 1 / 3 };

test('the binary is what the source compiles to', async () => {
  const { found, made } = await kernelSources.compare('adamw-kernel');
  assert.equal(found, made, 'run npm run kernels -w @slip/model');
});

test('tiles, odd ranges and what lies around them have the bits of the plain loop', () => {
  const size = 40_001;
  const entries = [
    { kind: 'param', name: 'a', shape: [30_001], offset: 0, size: 30_001, decay: true },
    { kind: 'param', name: 'b', shape: [10_000], offset: 30_001, size: 10_000, decay: false, lrScale: 0.5 },
  ] as unknown as TensorEntry[];
  for (const range of [
    { start: 0, end: size },
    { start: 1, end: 8194 },
    { start: 29_999, end: 30_002 },
    { start: 7, end: 7 },
  ]) {
    const [found, expected] = [arenas(size), arenas(size)];
    for (const step of [1, 2]) {
      adamW(found, entries, { ...HYPER, step }, range);
      plainLoop(expected, { ...HYPER, step }, range);
    }
    for (const name of ['params', 'grads', 'expAvg', 'expAvgSq'] as const) {
      const differs = found[name].findIndex((value, i) => !Object.is(value, expected[name][i]));
      assert.equal(differs, -1, `${name} of ${range.start} to ${range.end}`);
    }
  }
});

function arenas(size: number): AdamWArenas {
  const random = new RandomStream('adamw kernel');
  const draw = (scale: number) => Float32Array.from({ length: size }, () => scale * (random.uniform() - 0.5));
  const arenas = { params: draw(1), grads: draw(1e-2), expAvg: draw(1e-2), expAvgSq: draw(1).map(Math.abs) };
  // Where a run has diverged the update says so and stays silent elsewhere.
  arenas.grads[5] = Number.NaN;
  arenas.grads[6] = Number.POSITIVE_INFINITY;
  arenas.expAvgSq[9] = 0;
  return arenas;
}

function plainLoop(
  { params, grads, expAvg, expAvgSq }: AdamWArenas,
  { lr, beta1, beta2, eps, weightDecay, gradScale, step }: typeof HYPER & { step: number },
  { start, end }: { start: number; end: number },
): void {
  for (let i = start; i < end; i++) {
    const [rate, decay] = i < 30_001 ? [lr, weightDecay] : [lr * 0.5, 0];
    const g = grads[i] * gradScale;
    const m = beta1 * expAvg[i] + (1 - beta1) * g;
    const v = beta2 * expAvgSq[i] + (1 - beta2) * g * g;
    expAvg[i] = m;
    expAvgSq[i] = v;
    const denominator = Math.sqrt(v) * (1 / Math.sqrt(1 - beta2 ** step)) + eps;
    params[i] = params[i] * (1 - rate * decay) - ((rate / (1 - beta1 ** step)) * m) / denominator;
  }
}
