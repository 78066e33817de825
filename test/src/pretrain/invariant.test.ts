// `--reduce invariant`: the same bits on any number of ranks. SLIP, so that batch norm, gathered embeddings and accumulation are in it.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { finalWeights, launch, makeTinySet, stepRecords, TINY_MODEL, temporaryFolder } from './launch-runs.js';

const ROWS = 16;
const STEPS = 20;

test('weights after 20 steps have the same SHA-256 on 1, 2, 4 and 8 ranks', async (context) => {
  const folder = temporaryFolder(context);
  const set = await makeTinySet(path.join(folder, 'set'), 90);
  const runOn = async (ranks: number, more: readonly string[] = []) => {
    const runFolder = path.join(folder, [ranks, ...more].join(' '));
    const { code, output } = await launch([
      ...['--nproc', String(ranks), '--batch-size', String(ROWS / ranks), '--update-freq', '2', '--epochs', '12'],
      ...['--max-steps', String(STEPS), '--lr', '1e-3', '--warmup-steps', '3', '--print-freq', '100'],
      ...['--dataset', 'coco', '--root', set.root, '--metadata', set.metadata, '--model', 'SLIP_VITS16', ...TINY_MODEL],
      ...['--reduce', 'invariant', '--output-dir', runFolder, ...more],
    ]);
    assert.equal(code, 0, output);
    const losses = stepRecords(runFolder).map(({ loss }) => loss);
    assert.equal(losses.length, STEPS);
    return { weights: finalWeights(runFolder), losses };
  };
  const one = await runOn(1);
  assert.equal(one.weights.step, STEPS);
  for (const ranks of [2, 4, 8]) {
    const { weights, losses } = await runOn(ranks);
    assert.deepEqual(weights, one.weights, `${ranks} ranks`);
    assert.deepEqual(losses, one.losses, `${ranks} ranks`);
  }
  assert.deepEqual((await runOn(4, ['--transport', 'zmq'])).weights, one.weights, '4 ranks, all tensors over ZeroMQ');
});

test('shards that cannot be divided among ranks or rows are refused', async () => {
  for (const [args, message] of [
    [['--nproc', '3'], /--reduce invariant needs powers of two, .* found 3 ranks and 8 shards/],
    [['--nproc', '2', '--batch-size', '6'], /12 rows per micro-batch cannot be divided among 8 shards/],
  ] as const) {
    const folder = temporaryFolder({ after: (fn) => test.after(fn) });
    const set = await makeTinySet(path.join(folder, 'set'), 16);
    const { code, output } = await launch([
      ...['--dataset', 'coco', '--root', set.root, '--metadata', set.metadata, '--model', 'CLIP_VITS16', ...TINY_MODEL],
      ...['--reduce', 'invariant', '--output-dir', path.join(folder, 'run'), '--batch-size', '4', ...args],
    ]);
    assert.equal(code, 2, output);
    assert.match(output, message);
  }
});
