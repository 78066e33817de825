// Stopped, killed or undisturbed: a run ends with the same weights, bit for bit. Also CI's check of other Node versions.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { RandomStream } from '@slip/core';
import {
  datasetFlags,
  finalWeights,
  launch,
  makeTinySet,
  start,
  stepRecords,
  TINY_MODEL_OF_TWO_LENGTHS,
  temporaryFolder,
} from './launch-runs.js';

/** Left-over micro-batches at the end of each epoch: 90 samples make 11 micro-batches, 5 steps of 2 and one left over. */
const SAMPLES = 90;
const STEPS_PER_EPOCH = 5;
const EPOCHS = 6;

function runArguments(set: { root: string; metadata: string }, runFolder: string): string[] {
  return [
    ...['--nproc', '2', '--batch-size', '4', '--update-freq', '2', '--epochs', String(EPOCHS), '--print-freq', '1'],
    ...['--output-dir', runFolder, '--checkpoint-every-steps', '2', '--lr', '1e-3', '--comm-timeout', '20'],
    ...[...datasetFlags(set), '--model', 'SLIP_VITS16', ...TINY_MODEL_OF_TWO_LENGTHS],
  ];
}

test('stopping at any step and going on, and a killed worker, change no bit of the weights', async (context) => {
  const folder = temporaryFolder(context);
  const set = await makeTinySet(path.join(folder, 'set'), SAMPLES);
  const undisturbed = path.join(folder, 'undisturbed');
  const whole = await launch(runArguments(set, undisturbed));
  assert.equal(whole.code, 0, whole.output);
  const expected = finalWeights(undisturbed);
  assert.equal(expected.step, STEPS_PER_EPOCH * EPOCHS);
  assert.equal(stepRecords(undisturbed).length, STEPS_PER_EPOCH * EPOCHS);

  await context.test('SIGTERM saves, exits 75, and the same command finishes', async () => {
    const runFolder = path.join(folder, 'stopped');
    const stopAt = 1 + new RandomStream('stop', process.pid).integer(20);
    context.diagnostic(`stopping after step ${stopAt}`);
    const run = start(runArguments(set, runFolder));
    await run.until(iterationLine(stopAt));
    run.child.kill('SIGTERM');
    const first = await run.finished;
    assert.equal(first.code, 75, first.output);
    assert.match(first.output, /stopped at step \d+ of 30, saved; the same command continues/);
    const second = await launch(runArguments(set, runFolder));
    assert.equal(second.code, 0, second.output);
    assert.match(second.output, /continuing from .*step-\d+ \(step \d+\)/);
    assert.deepEqual(finalWeights(runFolder), expected);
    assert.deepEqual(lossesOf(runFolder), lossesOf(undisturbed), 'one record a step, the same losses');
    assert.deepEqual(epochLines(runFolder), epochLines(undisturbed), 'and the same log.txt');
  });

  await context.test('with all tensors over ZeroMQ, the sums of two ranks have the same bits', async () => {
    const runFolder = path.join(folder, 'zmq');
    const { code, output } = await launch([...runArguments(set, runFolder), '--transport', 'zmq']);
    assert.equal(code, 0, output);
    assert.deepEqual(finalWeights(runFolder), expected);
  });

  await context.test('kill -9 of a worker restarts all of them from the last checkpoint', async () => {
    const runFolder = path.join(folder, 'killed');
    const run = start(runArguments(set, runFolder));
    await run.until(iterationLine(12));
    const [victim] = workersOf(runFolder);
    const killedAt = Date.now();
    process.kill(victim, 'SIGKILL');
    const { code, output } = await run.finished;
    assert.equal(code, 0, output);
    assert.match(output, /killed by SIGKILL/);
    const restarted = eventTimes(runFolder, 'restarted')[0] - killedAt;
    context.diagnostic(`restarted ${restarted} ms after the kill`);
    assert.ok(restarted < 10_000, `restarted after ${restarted} ms`);
    assert.deepEqual(finalWeights(runFolder), expected);
    assert.deepEqual(workersOf(runFolder), [], 'nothing is left running');
    // What the survivor was doing when its peer was killed.
    const flight = path.join(runFolder, 'attempts/0/flight');
    const [survivor] = readdirSync(flight);
    const { calls } = JSON.parse(readFileSync(path.join(flight, survivor), 'utf8'));
    assert.equal(calls.at(-1).outcome, 'failed');
    assert.ok(calls.length > 10 && calls.slice(0, -1).every((call: { outcome: string }) => call.outcome === 'done'));
  });
});

/** The line of a step's iteration, whatever the epoch: `Epoch: [1][ 2/5]` is step 8. */
function iterationLine(step: number): RegExp {
  const epoch = Math.floor((step - 1) / STEPS_PER_EPOCH);
  const iteration = (step - 1) % STEPS_PER_EPOCH;
  return new RegExp(`Epoch: \\[${epoch}\\]\\[\\s*${iteration}/${STEPS_PER_EPOCH}\\]`);
}

function lossesOf(runFolder: string): [number, number][] {
  return stepRecords(runFolder).map(({ step, loss }) => [step, loss]);
}

function epochLines(runFolder: string): string[] {
  return readFileSync(path.join(runFolder, 'log.txt'), 'utf8').trim().split('\n');
}

function eventTimes(runFolder: string, event: string): number[] {
  return readFileSync(path.join(runFolder, 'events.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string; time: string })
    .filter((line) => line.event === event)
    .map(({ time }) => Date.parse(time));
}

/** Workers of a run, found by the configuration they were started with. */
function workersOf(runFolder: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
        return environment.includes(`SLIP_CONFIG=${path.join(runFolder, 'config.json')}`);
      } catch {
        return false;
      }
    })
    .map(Number);
}
