// Runs with `--reduce invariant` on several numbers of ranks, compared with one rank bit for bit. SLIP, so that batch norm, gathered
// embeddings and accumulation are in it.
import assert from 'node:assert/strict';
import path from 'node:path';
import type { TestContext } from 'node:test';
import {
  datasetFlags,
  finalWeights,
  launch,
  makeTinySet,
  stepRecords,
  TINY_MODEL_OF_TWO_LENGTHS,
  temporaryFolder,
} from './launch-runs.js';

/** A number of ranks, with further flags. */
export type Place = readonly [ranks: number, ...more: string[]];

const ROWS = 16;
const STEPS = 20;

/** @throws AssertionError where weights or losses of a place are not those of one rank */
export async function assertInvariant(context: TestContext, places: readonly Place[]): Promise<void> {
  const folder = temporaryFolder(context);
  const set = await makeTinySet(path.join(folder, 'set'), 90);
  const runOn = async ([ranks, ...more]: Place) => {
    const runFolder = path.join(folder, [ranks, ...more].join(' '));
    const { code, output } = await launch([
      ...['--nproc', String(ranks), '--batch-size', String(ROWS / ranks), '--update-freq', '2', '--epochs', '12'],
      ...['--max-steps', String(STEPS), '--lr', '1e-3', '--warmup-steps', '3', '--print-freq', '100'],
      ...[...datasetFlags(set), '--model', 'SLIP_VITS16', ...TINY_MODEL_OF_TWO_LENGTHS],
      ...['--reduce', 'invariant', '--output-dir', runFolder, ...more],
    ]);
    assert.equal(code, 0, output);
    const losses = stepRecords(runFolder).map(({ loss }) => loss);
    assert.equal(losses.length, STEPS);
    return { weights: finalWeights(runFolder), losses };
  };
  const one = await runOn([1]);
  assert.equal(one.weights.step, STEPS);
  for (const place of places) assert.deepEqual(await runOn(place), one, place.join(' '));
}
