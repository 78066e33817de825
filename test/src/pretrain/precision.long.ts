// Mixed precision and activation checkpointing through launched processes: a run in float16 that leaves steps out is resumed bit for
// bit with its loss scale, and checkpointing changes no weight.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
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

test('float16: skipped steps and the scale are in metrics and checkpoints; resumed and checkpointed runs have the same bits', async (context) => {
  const folder = temporaryFolder(context);
  const set = await makeTinySet(path.join(folder, 'set'), 40);
  const run = async (name: string, ...args: readonly string[]) => {
    const runFolder = path.join(folder, name);
    const { code, output } = await launch([
      ...['--nproc', '2', '--batch-size', '4', '--epochs', '8', '--lr', '1e-3', '--warmup-steps', '2'],
      ...['--output-dir', runFolder, ...datasetFlags(set)],
      ...['--model', 'CLIP_VITS16', ...TINY_MODEL, '--precision', 'fp16', '--print-freq', '1', ...args],
    ]);
    assert.equal(code, 0, output);
    return { weights: finalWeights(runFolder), records: stepRecords(runFolder), runFolder, output };
  };
  const whole = await run('whole', '--max-steps', '14');
  const scales = whole.records.map(({ loss_scale }) => loss_scale);
  assert.equal(scales[0], 65536);
  // The first scale is too large for this model: at least one step is left out, and the scale is halved each time.
  const skipped = whole.records.at(-1)!.skipped_steps;
  assert.ok(skipped > 0 && skipped < 14, `${skipped} steps were left out`);
  assert.ok(scales.slice(1).every((scale, i) => scale === scales[i] || scale === scales[i] / 2));
  assert.match(whole.output, /precision fp16: float32 weights.*dynamic loss scaling/);
  assert.match(whole.output, /memory: about .* GB for each worker/);
  assert.match(whole.output, /memory: .* GB at the peak of this worker \(estimated/);
  assert.equal(JSON.parse(readFileSync(path.join(whole.runFolder, 'config.json'), 'utf8')).config.precision, 'fp16');

  await run('stopped', '--max-steps', '8');
  const resumed = await run('stopped', '--max-steps', '14');
  assert.deepEqual(resumed.weights, whole.weights);
  assert.deepEqual(
    resumed.records.map(({ loss_scale, skipped_steps }) => [loss_scale, skipped_steps]),
    whole.records.map(({ loss_scale, skipped_steps }) => [loss_scale, skipped_steps]),
  );
  const checkpointed = await run('blocks', '--max-steps', '14', '--grad-checkpointing');
  assert.deepEqual(checkpointed.weights, whole.weights);
});
