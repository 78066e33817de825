// Pruning by hand: what stays, what goes, and that the last valid one is never among the latter.
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { markBest, pruneCheckpoints, saveCheckpoint } from './index.js';
import { sampleFiles } from './testing/sample-tensors.js';
import { temporaryFolder } from './testing/temporary-folder.js';

async function runWith(folder: string, steps: readonly number[]): Promise<void> {
  for (const step of steps) await saveCheckpoint(folder, { step, files: sampleFiles(step), state: {}, keepLast: 99 });
}

function steps(folder: string): number[] {
  return readdirSync(folder)
    .filter((name) => /^step-\d+$/.test(name))
    .map((name) => Number(name.slice(5)))
    .sort((a, b) => a - b);
}

test('the newest valid ones, best and every n-th stay', async (t) => {
  const folder = temporaryFolder(t);
  await runWith(folder, [1, 2, 3, 4, 5, 6]);
  await markBest(folder, 1);
  writeFileSync(path.join(folder, 'step-00000006', 'model.safetensors'), 'damaged');
  const options = { keepLast: 1, keepEvery: 2 };
  const planned = await pruneCheckpoints(folder, { ...options, dryRun: true });
  assert.deepEqual(planned, { removed: [3], kept: [1, 2, 4, 5, 6] });
  assert.deepEqual(steps(folder), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(await pruneCheckpoints(folder, { ...options, dryRun: false }), planned);
  assert.deepEqual(steps(folder), [1, 2, 4, 5, 6]);
});

test('nothing goes where nothing is valid, and a missing folder is named', async (t) => {
  const folder = temporaryFolder(t);
  await runWith(folder, [1, 2]);
  for (const step of [1, 2]) writeFileSync(path.join(folder, `step-0000000${step}`, 'model.safetensors'), 'damaged');
  const options = { keepLast: 1, keepEvery: 0, dryRun: false };
  await assert.rejects(pruneCheckpoints(folder, options), {
    code: 'checkpoint',
    message: /no valid checkpoint among 2/,
  });
  assert.deepEqual(steps(folder), [1, 2]);
  await assert.rejects(pruneCheckpoints(path.join(folder, 'none'), options), /cannot list .*<run>\/checkpoints/);
});
