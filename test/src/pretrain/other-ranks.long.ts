// A run that is stopped in mid-epoch goes on with more or fewer workers: the same micro-batches, the same losses.
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

/** Eight rows a micro-batch: 2+2+2+2, 4+4, 3+3+2 and 2+2+2+2 again. Six steps to an epoch, two micro-batches to a step. */
const STAGES = [
  { ranks: 4, untilStep: 2 },
  { ranks: 2, untilStep: 4 },
  { ranks: 3, untilStep: 7 },
  { ranks: 4, untilStep: 8 },
];
const STEPS = STAGES.at(-1)!.untilStep;
/** Of the loss, relative. Rows are summed in another order, and batch norm over few rows magnifies it from step to step. */
const TOLERANCE = 1e-4;

/** What makes the run the same run. */
const SETTINGS = [
  ...['--batch-size', '2', '--update-freq', '2', '--epochs', '10', '--warmup-steps', '3', '--lr', '1e-3'],
  ...['--model', 'SLIP_VITS16', ...TINY_MODEL, '--print-freq', '1'],
];

test('4 to 2 to 3 to 4 ranks in mid-epoch: the losses of 4 ranks', async (context) => {
  const folder = temporaryFolder(context);
  const set = await makeTinySet(path.join(folder, 'set'), 100);
  const dataset = datasetFlags(set);
  const runFor = (runFolder: string, ranks: number, untilStep: number) =>
    launch([
      ...['--nproc', String(ranks), '--output-dir', runFolder, '--max-steps', String(untilStep)],
      ...[...dataset, ...SETTINGS],
    ]);
  const steady = path.join(folder, 'steady');
  const whole = await runFor(steady, 4, STEPS);
  assert.equal(whole.code, 0, whole.output);

  const changing = path.join(folder, 'changing');
  const outputs: string[] = [];
  for (const { ranks, untilStep } of STAGES) {
    const { code, output } = await runFor(changing, ranks, untilStep);
    assert.equal(code, 0, output);
    outputs.push(output);
  }
  assert.match(outputs[1], /the run keeps its 8 rows per micro-batch: 2 x 4 on 2 workers/);
  assert.match(outputs[2], /the run keeps its 8 rows per micro-batch: 2 x 3 \+ 1 x 2 on 3 workers/);
  assert.doesNotMatch(outputs[3], /the run keeps/);
  assert.equal(finalWeights(changing).step, STEPS);
  const [expected, found] = [steady, changing].map((run) => stepRecords(run).map(({ step, loss }) => ({ step, loss })));
  assert.deepEqual(
    found.map(({ step }) => step),
    expected.map(({ step }) => step),
  );
  const errors = found.map(({ loss }, i) => Math.abs(loss - expected[i].loss) / expected[i].loss);
  context.diagnostic(`the loss differs by at most ${Math.max(...errors).toExponential(1)}`);
  assert.ok(Math.max(...errors) < TOLERANCE, `losses differ by ${errors.map((error) => error.toExponential(1))}`);
  assert.deepEqual(errors.slice(0, STAGES[0].untilStep), [0, 0], 'the same up to the first change');

  const otherRows = await launch([
    '--nproc',
    '4',
    '--output-dir',
    changing,
    ...dataset,
    ...SETTINGS,
    '--batch-size',
    '3',
  ]);
  assert.equal(otherRows.code, 2);
  assert.match(otherRows.output, /belongs to another run \(rowsPerMicroBatch 8 -> 12\)/);
  const tooMany = await launch(['--nproc', '9', '--output-dir', changing, ...dataset, ...SETTINGS]);
  assert.equal(tooMany.code, 2);
  assert.match(tooMany.output, /8 rows per micro-batch are too few for 9 workers/);
});
