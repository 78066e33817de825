// `--reduce invariant`: the same bits on any number of ranks. 8 ranks are in invariant.long.ts.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { assertInvariant } from './invariant-runs.js';
import { datasetFlags, launch, makeTinySet, TINY_MODEL, temporaryFolder } from './launch-runs.js';

test('weights after 20 steps have the same SHA-256 on 1 and 2 ranks, and on 4 with all tensors over ZeroMQ', (context) =>
  assertInvariant(context, [[2], [4, '--transport', 'zmq']]));

test('shards that cannot be divided among ranks or rows are refused', async () => {
  for (const [args, message] of [
    [['--nproc', '3'], /--reduce invariant needs powers of two, .* found 3 ranks and 8 shards/],
    [['--nproc', '2', '--batch-size', '6'], /12 rows per micro-batch cannot be divided among 8 shards/],
  ] as const) {
    const folder = temporaryFolder({ after: (fn) => test.after(fn) });
    const set = await makeTinySet(path.join(folder, 'set'), 16);
    const { code, output } = await launch([
      ...[...datasetFlags(set), '--model', 'CLIP_VITS16', ...TINY_MODEL],
      ...['--reduce', 'invariant', '--output-dir', path.join(folder, 'run'), '--batch-size', '4', ...args],
    ]);
    assert.equal(code, 2, output);
    assert.match(output, message);
  }
});
