// A whole run on the tensorflow device, where its addon is (SLIP_TENSORFLOW): the CPU's losses, and a resumed run equal to an
// uninterrupted one.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { findTensorFlow } from '@slip/devices';
import {
  finalWeights,
  launch,
  makeTinySet,
  stepRecords,
  TINY_MODEL,
  temporaryFolder,
} from '../pretrain/launch-runs.js';

const missing = 'no addon of TensorFlow: npm run build-tensorflow -- --output DIR, then SLIP_TENSORFLOW=DIR';
const skip = findTensorFlow(process.env.SLIP_TENSORFLOW) === undefined ? missing : false;
/** Of the loss, relative. */
const TOLERANCE = 1e-4;

test('runs on tensorflow', { skip }, async (context) => {
  const folder = temporaryFolder(context);
  const set = await makeTinySet(path.join(folder, 'set'), 100);
  const runIn = async (name: string, device: string, steps: number) => {
    const { code, output } = await launch([
      ...['--nproc', '1', '--device', device, '--output-dir', path.join(folder, name), '--max-steps', String(steps)],
      ...['--dataset', 'coco', '--root', set.root, '--metadata', set.metadata, '--model', 'SLIP_VITS16', ...TINY_MODEL],
      ...['--batch-size', '8', '--update-freq', '2', '--epochs', '10', '--warmup-steps', '3', '--lr', '1e-3'],
    ]);
    assert.equal(code, 0, output);
  };
  await runIn('cpu', 'cpu', 4);
  await runIn('whole', 'tensorflow', 4);
  for (const steps of [2, 4]) await runIn('parts', 'tensorflow', steps);
  const [expected, found] = ['cpu', 'whole'].map((name) =>
    stepRecords(path.join(folder, name)).map(({ loss }) => loss),
  );
  assert.equal(found.length, expected.length);
  const errors = found.map((loss, i) => Math.abs(loss - expected[i]) / expected[i]);
  context.diagnostic(`losses differ by at most ${Math.max(...errors).toExponential(1)}`);
  assert.ok(Math.max(...errors) < TOLERANCE, `${found}, expected ${expected}`);
  assert.deepEqual(finalWeights(path.join(folder, 'parts')), finalWeights(path.join(folder, 'whole')));
});
