// For tests: N ranks equal one rank: the same global batch gives the same losses, whatever the number of processes; three have
// unequal rows.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { openCheckpoint } from '@slip/checkpoint';
import {
  datasetFlags,
  launch,
  makeTinySet,
  stepRecords,
  TINY_MODEL_OF_TWO_LENGTHS,
  temporaryFolder,
} from './launch-runs.js';

const GLOBAL_BATCH = 32;
const STEPS = 20;

/**
 * With a narrow tower the SimCLR runs begin alike and are up to 4e-3 apart after twenty steps at this rate; with this width they
 * are not. Why is not established: batch norm over rows that hardly differ, which magnifies rounding, is suspected.
 */
const SHAPES: Readonly<Record<string, readonly string[]>> = {
  SIMCLR: ['--vision-width', '192', '--vision-heads', '3'],
};

/** @param counts of ranks; the first is 1 */
export function trainsAlike(family: string, counts: readonly number[]): void {
  test(`${family}: ${counts.join(', ')} ranks train alike`, async (context) => {
    const folder = temporaryFolder(context);
    const set = await makeTinySet(path.join(folder, 'set'), 200);
    const runs = [];
    for (const ranks of counts) {
      const runFolder = path.join(folder, `ranks-${ranks}`);
      const { code, output } = await launch([
        ...['--nproc', String(ranks), '--rows-per-micro-batch', String(GLOBAL_BATCH), '--output-dir', runFolder],
        ...[...datasetFlags(set), '--model', `${family}_VITS16`, ...TINY_MODEL_OF_TWO_LENGTHS],
        ...(SHAPES[family] ?? []),
        ...['--epochs', '10', '--warmup-steps', '3', '--lr', '1e-3', '--max-steps', String(STEPS)],
        // Batch norm over tiny models amplifies rounding a thousandfold on some views; on these it does not.
        ...['--transforms', 'exact'],
      ]);
      assert.equal(code, 0, output);
      runs.push({ ranks, losses: stepRecords(runFolder).map(({ loss }) => loss), weights: await readModel(runFolder) });
    }
    const [one, ...others] = runs;
    assert.equal(one.losses.length, STEPS);
    assert.ok(
      one.losses[STEPS - 1] < 0.95 * one.losses[0],
      `the loss falls: ${one.losses[0]} to ${one.losses[STEPS - 1]}`,
    );
    for (const { ranks, losses, weights } of others) {
      const errorAt = (step: number) =>
        Math.abs(losses[step - 1] - one.losses[step - 1]) / Math.abs(one.losses[step - 1]);
      const difference = relativeDifference(weights, one.weights);
      context.diagnostic(
        `${family}, ${ranks} ranks against 1: loss differs by ${errorAt(1).toExponential(1)} at step 1, ` +
          `${errorAt(STEPS).toExponential(1)} at step ${STEPS}; parameters by ${difference.toExponential(1)}`,
      );
      assert.ok(errorAt(1) < 1e-5, `step 1 on ${ranks} ranks: ${losses[0]} against ${one.losses[0]}`);
      assert.ok(
        errorAt(STEPS) < 1e-4,
        `step ${STEPS} on ${ranks} ranks: ${losses[STEPS - 1]} against ${one.losses[STEPS - 1]}`,
      );
    }
  });
}

async function readModel(runFolder: string): Promise<Map<string, Float32Array>> {
  const checkpoint = await openCheckpoint(path.join(runFolder, 'checkpoints/latest'), { verify: true });
  assert.equal(checkpoint.step, STEPS);
  const tensors = new Map<string, Float32Array>();
  await checkpoint.readInto('model', (name, dtype, shape) => {
    if (dtype !== 'F32') return undefined;
    const values = new Float32Array(shape.reduce((product, length) => product * length, 1));
    tensors.set(name, values);
    return values;
  });
  return tensors;
}

function relativeDifference(found: Map<string, Float32Array>, expected: Map<string, Float32Array>): number {
  let difference = 0;
  let norm = 0;
  for (const [name, values] of expected) {
    values.forEach((value, i) => {
      difference += (found.get(name)![i] - value) ** 2;
      norm += value ** 2;
    });
  }
  return Math.sqrt(difference / norm);
}
