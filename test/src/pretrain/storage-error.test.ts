// A training whose storage fails while a checkpoint is being written: it says so, the previous one stays, and it goes on or stops.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import type { KillPoint } from './fixtures/kill-point.js';
import {
  datasetFlags,
  finalWeights,
  makeTinySet,
  start,
  stepRecords,
  TINY_MODEL,
  temporaryFolder,
} from './launch-runs.js';

const hook = pathToFileURL(path.join(import.meta.dirname, 'fixtures/kill-point.js')).href;
/** Rank 1 syncs two files in a save, so this is in the second one. */
const failing: KillPoint = { rank: 1, thread: 'checkpoint', operation: 'sync', occurrence: 3, failure: 'EIO' };

for (const policy of ['continue', 'stop']) {
  test(`EIO in a thread of one rank, --on-checkpoint-error ${policy}`, async (context) => {
    const folder = temporaryFolder(context);
    const set = await makeTinySet(path.join(folder, 'set'), 60);
    const runFolder = path.join(folder, 'run');
    const { code, output } = await start(
      [
        ...['--nproc', '2', '--batch-size', '4', '--epochs', '2', '--max-steps', '6', '--checkpoint-every-steps', '2'],
        ...['--checkpoint-writers', '2', '--model', 'SLIP_VITS16', ...TINY_MODEL, '--output-dir', runFolder],
        ...[...datasetFlags(set), '--on-checkpoint-error', policy],
      ],
      { NODE_OPTIONS: `--import=${hook}`, SLIP_TEST_KILLS: JSON.stringify([failing]) },
    ).finished;
    assert.match(
      output,
      /cannot save step 4 in \S+: the disk or its network failed \(EIO\); the previous checkpoint \(step 2\) is intact/,
    );
    assert.equal(code, policy === 'continue' ? 0 : 7, output);
    assert.equal(finalWeights(runFolder).step, policy === 'continue' ? 6 : 2);
    if (policy === 'continue') assert.equal(stepRecords(runFolder).length, 6);
  });
}
