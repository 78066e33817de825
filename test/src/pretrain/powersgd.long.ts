// `--compress powersgd` through launched processes: the same weights over both transports, and when a run is stopped and continues.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { datasetFlags, finalWeights, launch, makeTinySet, TINY_MODEL, temporaryFolder } from './launch-runs.js';

test('two ranks with PowerSGD: the same bits over shared memory and over ZeroMQ, in buckets or not, and in a run that continues', async (context) => {
  const folder = temporaryFolder(context);
  const set = await makeTinySet(path.join(folder, 'set'), 60);
  const data = datasetFlags(set);
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
  // Two steps with errors before the stop, two after it.
  const whole = await run('whole', 6, ['--bucket-mb', '0.02']);
  const continued = await run('shared', 6, ['--bucket-mb', '0.02']);
  assert.match(continued.output, /continuing from \S+ \(step 4\)/);
  assert.doesNotMatch(continued.output, /errors that PowerSGD/);
  assert.deepEqual(continued.weights, whole.weights);
  const alone = await run('shared', 7, ['--bucket-mb', '0.02', '--nproc', '1', '--batch-size', '16']);
  assert.match(alone.output, /PowerSGD had kept on 2 ranks are summed over 1/);
});
