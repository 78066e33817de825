// The soak: 20,000 steps of the quickstart's model, whose memory and time of a step must not grow. Environment: SLIP_SOAK_STEPS, SLIP_SOAK_RANKS
// (2), SLIP_SOAK_ROWS of each rank (2), and SLIP_SOAK_MINUTES, after which the run is stopped and what it did is judged.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { datasetFlags, makeTinySet, start, stepRecords, temporaryFolder } from './launch-runs.js';
import { type Trend, trendOf } from './trend.js';

const STEPS = Number(process.env.SLIP_SOAK_STEPS ?? 20_000);
const MINUTES = Number(process.env.SLIP_SOAK_MINUTES ?? Number.POSITIVE_INFINITY);
const RANKS = Number(process.env.SLIP_SOAK_RANKS ?? 2);
const ROWS = Number(process.env.SLIP_SOAK_ROWS ?? 2);

/** Few enough that a run has several epochs, and so checkpoints. */
const PICTURES = 2000;
/** Left out: compilers, caches and the heap settle. */
const WARM_UP_SHARE = 0.2;
const BLOCKS = 40;
/**
 * Growth is what three standard errors leave of it, over all the steps that were asked for, also where fewer were done; more than this
 * share of the whole is too much.
 */
const TOLERATED_SHARE = 0.02;

test(`the quickstart's model grows neither in memory nor in the time of a step, over ${STEPS} steps`, async (context) => {
  const folder = temporaryFolder(context);
  const set = await makeTinySet(path.join(folder, 'set'), PICTURES);
  const runFolder = path.join(folder, 'run');
  const run = start([
    ...['--nproc', String(RANKS), '--recipe', 'quickstart', '--output-dir', runFolder, '--val-dataset', 'none'],
    ...datasetFlags(set),
    ...['--batch-size', String(ROWS), '--epochs', '1000000', '--max-steps', String(STEPS), '--print-freq', '100'],
  ]);
  const alarm = Number.isFinite(MINUTES) ? setTimeout(() => run.child.kill('SIGTERM'), MINUTES * 60_000) : undefined;
  const { code, output } = await run.finished;
  clearTimeout(alarm);
  assert.ok(code === 0 || (code === 75 && alarm !== undefined), output.slice(-4000));

  const records = stepRecords(runFolder);
  const settled = records.slice(Math.round(records.length * WARM_UP_SHARE));
  assert.ok(settled.length >= 10 * BLOCKS, `only ${records.length} steps were done; allow more minutes`);
  const memory = settled.map(({ memoryBytes }) => memoryBytes / 1e6);
  const stepMs = settled.map(({ stepMs }) => stepMs);
  // The fastest step of a block: what else the machine does slows most steps, and that is no growth.
  const trends = {
    memory: { unit: 'MB', level: memory[0], trend: trendOf(memory, BLOCKS) },
    'step time': {
      unit: 'ms',
      level: Math.min(...stepMs),
      trend: trendOf(stepMs, BLOCKS, (block) => Math.min(...block)),
    },
  };
  console.error(
    `${records.length} steps, ${RANKS} ranks of ${ROWS} rows; from step ${records.length - settled.length}:`,
  );
  for (const [name, { unit, level, trend }] of Object.entries(trends))
    console.error(describe(name, unit, level, trend));
  for (const [name, { level, trend }] of Object.entries(trends)) {
    const growth = STEPS * (trend.slope - 3 * trend.error);
    const asDone = `as far as ${records.length} steps tell`;
    assert.ok(
      growth < TOLERATED_SHARE * level,
      `${name} would grow by ${growth.toFixed(1)} or more in ${STEPS} steps, ${asDone}`,
    );
  }
});

function describe(name: string, unit: string, level: number, { slope, error, rise, riseError }: Trend): string {
  return (
    `${name}: ${level.toFixed(1)} ${unit}, slope ${(1000 * slope).toFixed(3)} +- ${(1000 * error).toFixed(3)} ${unit} ` +
    `per 1000 steps, ${rise.toFixed(2)} +- ${riseError.toFixed(2)} ${unit} over the run (one standard error)`
  );
}
