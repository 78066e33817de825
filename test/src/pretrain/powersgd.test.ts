// `--compress powersgd` through launched processes: the same weights over both transports, and what is said when a run continues.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { finalWeights, launch, makeTinySet, TINY_MODEL, temporaryFolder } from './launch-runs.js';

test('two ranks with PowerSGD: the same bits over shared memory and over ZeroMQ, in buckets or not; a run that continues says what it lost', async (context) => {
  const folder = temporaryFolder(context);
  const set = await makeTinySet(path.join(folder, 'set'), 60);
  const data = ['--dataset', 'coco', '--root', set.root, '--metadata', set.metadata];
  const run = async (name: string, steps: number, args: readonly string[]) => {
    const runFolder = path.join(folder, name);
    const { code, output } = await launch([
      ...['--nproc', '2', '--batch-size', '8', '--epochs', '8', '--max-steps', String(steps), '--lr', '1e-3'],
      ...['--warmup-steps', '2', '--output-dir', runFolder, ...data, '--model', 'SLIP_VITS16', ...TINY_MODEL],
      ...['--compress', 'powersgd', '--powersgd-rank', '2', '--powersgd-start', '1', ...args],
    ]);
    assert.equal(code, 0, output);
    return { weights: finalWeights(runFolder), output };
  };
  const shared = await run('shared', 4, ['--bucket-mb', '0.02']);
  assert.match(shared.output, /gradients travel as factors of rank 2 \(\d+\.\d % of their size\) after 1 steps/);
  const zmq = await run('zmq', 4, ['--transport', 'zmq', '--bucket-mb', '0']);
  assert.deepEqual(zmq.weights, shared.weights);
  const { output } = await run('shared', 5, ['--bucket-mb', '0.02']);
  assert.match(output, /errors that PowerSGD had kept are not in the checkpoint/);
});
