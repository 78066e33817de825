// A training whose disk is full, on a file system of its own: the last good checkpoint stays, and the run says so.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import {
  datasetFlags,
  launch,
  makeTinySet,
  stepRecords,
  TINY_MODEL,
  type TinySet,
  temporaryFolder,
} from './launch-runs.js';

/** A checkpoint of the tiny model has 10 MB: there is room for one. */
const ROOM = '16M';
const probe = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
const skip = probe.status === 0 ? false : 'mounting needs root';

test('a full disk costs checkpoints, not the training; the last save is an error', { skip }, async (context) => {
  const folder = temporaryFolder(context);
  const set = await makeTinySet(path.join(folder, 'set'), 60);
  const runFolder = path.join(folder, 'run');
  mkdirSync(runFolder);
  assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${ROOM}`, 'tmpfs', runFolder]).status, 0);
  try {
    await trainOnFullDisk(runFolder, set);
  } finally {
    spawnSync('umount', [runFolder]);
  }
});

async function trainOnFullDisk(runFolder: string, set: TinySet): Promise<void> {
  const runWith = (...flags: string[]) =>
    launch([
      ...['--nproc', '2', '--batch-size', '4', '--epochs', '2', '--max-steps', '6', '--checkpoint-every-steps', '2'],
      ...['--checkpoint-writers', '2', '--model', 'SLIP_VITS16', ...TINY_MODEL, '--output-dir', runFolder],
      ...[...datasetFlags(set), ...flags],
    ]);

  const goesOn = await runWith();
  assert.equal(goesOn.code, 7, goesOn.output);
  const refusals = goesOn.output.match(/cannot save step \d+ in \S+: the disk is full \(ENOSPC\): .* MB are needed/g);
  assert.ok(refusals !== null && refusals.length >= 2, goesOn.output);
  assert.match(goesOn.output, /the previous checkpoint \(step 2\) is intact; .*; training goes on/);
  assert.match(goesOn.output, /\[checkpoint\] cannot save step 6 .*step 2\) is intact/);
  assert.equal(stepRecords(runFolder).length, 6, 'all steps were made');
  assert.deepEqual(readdirSync(path.join(runFolder, 'checkpoints')).sort(), ['latest', 'step-00000002']);

  const stops = await runWith('--on-checkpoint-error', 'stop');
  assert.equal(stops.code, 7, stops.output);
  assert.match(stops.output, /continuing from \S+ \(step 2\)/);
  assert.match(stops.output, /\[checkpoint\] cannot save step 4 /);
  assert.equal(stepRecords(runFolder).at(-1)?.step, 4, 'the first failure ended it');
}
