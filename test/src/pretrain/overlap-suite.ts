// For tests: gradients that leave in buckets during the backward pass: the same weights as without, through launched processes.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import {
  datasetFlags,
  finalWeights,
  launch,
  makeTinySet,
  stepRecords,
  TINY_MODEL,
  temporaryFolder,
} from './launch-runs.js';

/** Some ten buckets of the tiny model. */
const BUCKETS = ['--bucket-mb', '0.02'];
const WITHOUT = ['--bucket-mb', '0', '--comm-thread', 'off'];

/** Transport and --comm-thread, by update-freq; each of the four ways once, since a run takes seconds. */
const COMBINATIONS: Readonly<Record<number, readonly (readonly [string, string])[]>> = {
  1: [
    ['shared', 'on'],
    ['zmq', 'off'],
  ],
  2: [
    ['shared', 'off'],
    ['zmq', 'on'],
  ],
};

export function bucketsChangeNothing(updateFreq: 1 | 2): void {
  test(`two ranks, update-freq ${updateFreq}: the same bits with and without buckets, over both transports`, async (context) => {
    const folder = temporaryFolder(context);
    const set = await makeTinySet(path.join(folder, 'set'), 60);
    const run = async (args: readonly string[]) => {
      const runFolder = path.join(folder, args.join(' '));
      const { code, output } = await launch([
        ...['--nproc', '2', '--batch-size', '8', '--update-freq', String(updateFreq), '--epochs', '8'],
        ...['--max-steps', '4', '--lr', '1e-3', '--warmup-steps', '2', '--output-dir', runFolder, ...args],
        ...[...datasetFlags(set), '--model', 'SLIP_VITS16', ...TINY_MODEL],
      ]);
      assert.equal(code, 0, output);
      return { weights: finalWeights(runFolder), records: stepRecords(runFolder) };
    };
    const without = await run(WITHOUT);
    assert.equal(without.weights.step, 4);
    for (const [transport, thread] of COMBINATIONS[updateFreq]) {
      const { weights, records } = await run([...BUCKETS, '--comm-thread', thread, '--transport', transport]);
      assert.deepEqual(weights, without.weights, `${transport}, thread ${thread}`);
      assert.ok(records.every(({ commMs, commExposedMs }) => commMs > 0 && commExposedMs > 0));
    }
  });
}
