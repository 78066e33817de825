// A profile of a step that was really run: kernels lie inside the segments that ran them, and only recorded steps are in the trace.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { silentLogger } from '@slip/core';
import { createOnnxExecutor, tf } from '@slip/engine';
import { kernelSpans } from './kernel-spans.js';
import { StepProfile } from './step-profile.js';

interface Event {
  readonly ph: string;
  readonly name: string;
  readonly cat: string;
  readonly ts: number;
  readonly dur: number;
}

test('two recorded steps: their parts and kernels, on one clock', async (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-profile-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const profile = new StepProfile({ folder, rank: 3, steps: 2, log: silentLogger });
  const x = { name: 'x', shape: [64, 64], dtype: 'float32' } as const;
  const executor = await createOnnxExecutor(
    { name: 'products', inputs: [x], fn: (inputs) => ({ y: tf.matMul(tf.tanh(inputs.x), inputs.x) }) },
    {
      ...{ rank: 0, worldSize: 1, threads: 1, profilePrefix: profile.kernelPrefix },
      onSegment: profile.noteSegment.bind(profile),
    },
  );
  for (let step = 0; step < 5; step++) {
    await profile.during('step', `step ${step}`, () => executor.run());
    await profile.endStep([executor]);
  }
  await executor.close();
  assert.deepEqual(readdirSync(folder), ['rank-00003.json'], "ONNX Runtime's files are gone");
  const { traceEvents } = JSON.parse(readFileSync(path.join(folder, 'rank-00003.json'), 'utf8'));
  const of = (category: string) => (traceEvents as Event[]).filter(({ ph, cat }) => ph === 'X' && cat === category);
  assert.deepEqual(
    of('step').map(({ name }) => name),
    ['step 1', 'step 2'],
  );
  assert.equal(of('engine').length, 2);
  assert.deepEqual(
    of('kernels').map(({ name }) => name),
    ['Tanh', 'Gemm', 'Tanh', 'Gemm'],
  );
  for (const [i, kernel] of of('kernels').entries()) {
    const segment = of('engine')[Math.floor(i / 2)];
    // ONNX Runtime's clock has microseconds and starts its run a little after ours.
    assert.ok(kernel.ts >= segment.ts && kernel.ts + kernel.dur <= segment.ts + segment.dur + 1000);
  }
});

test('what is no profile is refused', () => {
  assert.throws(() => kernelSpans('[{"cat": ', []), { code: 'internal', message: /not JSON/ });
});
