// Whole runs on the WebGPU device, on the software adapter of Debian's chromium: the CPU's losses, a resumed run equal to an
// uninterrupted one, two ranks equal to one, and no two ranks on one adapter unless they are told to.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { SOFTWARE_ADAPTER, withoutSoftwareAdapter } from '@slip/devices/testing';
import { finalWeights, makeTinySet, start, stepRecords, TINY_MODEL, temporaryFolder } from '../pretrain/launch-runs.js';

/** Of the loss, relative: the arithmetic of the optimizer is float32 there and float64 here. */
const TOLERANCE = 1e-4;
const STEPS = 4;
const SETTINGS = [
  ...['--model', 'CLIP_VITS16', ...TINY_MODEL, '--batch-size', '8', '--update-freq', '2', '--epochs', '10'],
  ...['--warmup-steps', '3', '--lr', '1e-3', '--print-freq', '1'],
];

test('runs on webgpu', { skip: withoutSoftwareAdapter() ?? false }, async (context) => {
  const folder = temporaryFolder(context);
  const set = await makeTinySet(path.join(folder, 'set'), 100);
  const runIn = (name: string, flags: readonly string[], steps = STEPS, environment: NodeJS.ProcessEnv = {}) =>
    start(
      [
        ...[
          '--output-dir',
          path.join(folder, name),
          '--dataset',
          'coco',
          '--root',
          set.root,
          '--metadata',
          set.metadata,
        ],
        ...[...SETTINGS, '--max-steps', String(steps), ...flags],
      ],
      { ...SOFTWARE_ADAPTER, ...environment },
    ).finished;
  const losses = (name: string) => stepRecords(path.join(folder, name)).map(({ loss }) => loss);
  const assertLosses = (name: string, expected: readonly number[]) => {
    const found = losses(name);
    assert.equal(found.length, expected.length);
    const errors = found.map((loss, i) => Math.abs(loss - expected[i]) / expected[i]);
    context.diagnostic(`${name}: losses differ by at most ${Math.max(...errors).toExponential(1)}`);
    assert.ok(Math.max(...errors) < TOLERANCE, `${name}: ${found}, expected ${expected}`);
  };

  const cpu = await runIn('cpu', ['--nproc', '1']);
  assert.equal(cpu.code, 0, cpu.output);
  const whole = await runIn('whole', ['--nproc', '1', '--device', 'webgpu']);
  assert.equal(whole.code, 0, whole.output);
  assert.match(whole.output, /device webgpu: SwiftShader/);
  assertLosses('whole', losses('cpu'));

  for (const steps of [2, STEPS]) {
    const part = await runIn('parts', ['--nproc', '1', '--device', 'webgpu'], steps);
    assert.equal(part.code, 0, part.output);
  }
  assert.deepEqual(finalWeights(path.join(folder, 'parts')), finalWeights(path.join(folder, 'whole')));

  const shared = ['--nproc', '2', '--device', 'webgpu', '--rows-per-micro-batch', '8'];
  const refused = await runIn('refused', shared);
  assert.equal(refused.code, 8, refused.output);
  assert.match(refused.output, /ranks 0 and 1 on \S+ would share one device, SwiftShader/);
  const two = await runIn('two', shared, STEPS, { SLIP_SHARE_DEVICE: '1' });
  assert.equal(two.code, 0, two.output);
  assertLosses('two', losses('cpu'));
});
