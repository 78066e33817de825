// For tests: a training that is killed at any of its operations and goes on, compared with one that never was.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { RandomStream } from '@slip/core';
import type { KillPoint, ThreadName } from './fixtures/kill-point.js';
import { finalWeights, makeTinySet, start, stepRecords, TINY_MODEL } from './launch-runs.js';

const hook = pathToFileURL(path.join(import.meta.dirname, 'fixtures/kill-point.js')).href;
const STEPS = 6;

/** An operation of a run without kills. */
export interface Place extends KillPoint {
  readonly operation: string;
}

export interface KillSeries {
  /** Every operation of every rank and thread. */
  readonly places: readonly Place[];
  /** Kills one run there, lets it go on, and compares. @returns what happened, for people */
  killAt(place: Place): Promise<string>;
}

/** SLIP with batch norm, two micro-batches a step, saves every other step while training goes on, two loader threads a rank. */
export async function prepareKillSeries(folder: string, ranks: number): Promise<KillSeries> {
  const set = await makeTinySet(path.join(folder, 'set'), 60);
  const launchWith = (name: string, environment: NodeJS.ProcessEnv) =>
    start(
      [
        ...['--nproc', String(ranks), '--rows-per-micro-batch', '8', '--update-freq', '2', '--epochs', '3'],
        ...['--checkpoint-every-steps', '2', '--checkpoint-writers', String(ranks), '--max-restarts', '1'],
        ...['--model', 'SLIP_VITS16', ...TINY_MODEL, '--workers', '2', '--max-steps', String(STEPS)],
        ...['--dataset', 'coco', '--root', set.root, '--metadata', set.metadata, '--comm-timeout', '30'],
        ...['--output-dir', path.join(folder, name)],
      ],
      { NODE_OPTIONS: `--import=${hook}`, ...environment },
    ).finished;
  const operations = path.join(folder, 'operations');
  mkdirSync(operations);
  const undisturbed = await launchWith('undisturbed', { SLIP_TEST_OPERATIONS: operations });
  assert.equal(undisturbed.code, 0, undisturbed.output);
  const expected = finalWeights(path.join(folder, 'undisturbed'));
  assert.equal(expected.step, STEPS);
  const losses = (name: string) => stepRecords(path.join(folder, name)).map(({ step, loss }) => [step, loss]);
  let runs = 0;
  return {
    places: readPlaces(operations),
    async killAt({ rank, thread, index, operation }) {
      const name = `killed-${runs++}`;
      const { code, output } = await launchWith(name, { SLIP_TEST_KILL: JSON.stringify({ rank, thread, index }) });
      const where = `rank ${rank}, ${thread} thread, before operation ${index} (${operation})`;
      assert.equal(code, 0, `${where}:\n${output}`);
      assert.deepEqual(finalWeights(path.join(folder, name)), expected, where);
      assert.deepEqual(losses(name), losses('undisturbed'), where);
      // Threads share a queue of files: the last few operations of a thread may not come in every run.
      const continued = /continuing from \S+ \(step (\d+)\)/.exec(output);
      if (!/killed by SIGKILL/.test(output)) return `${where}: was not reached`;
      return `${where}: went on from step ${continued?.[1] ?? 0}`;
    },
  };
}

function readPlaces(folder: string): Place[] {
  return readdirSync(folder).flatMap((name) => {
    const [rank, thread] = name.split('-');
    const lines = readFileSync(path.join(folder, name), 'utf8').trim().split('\n');
    return lines.map((operation, index) => ({ rank: Number(rank), thread: thread as ThreadName, index, operation }));
  });
}

/**
 * A sample of places: of each kind of operation of each thread of each rank in turn, so that none is forgotten.
 * @param count at most so many
 */
export function samplePlaces(places: readonly Place[], count: number, seed: number): Place[] {
  const random = new RandomStream(seed, 'kill places');
  const kinds = new Map<string, Place[]>();
  for (const place of places) {
    const kind = `${place.rank} ${place.thread} ${place.operation}`;
    kinds.set(kind, [...(kinds.get(kind) ?? []), place]);
  }
  const queues = shuffled([...kinds.values()], random).map((kind) => shuffled(kind, random));
  const sample: Place[] = [];
  while (sample.length < count && queues.some((queue) => queue.length > 0)) {
    for (const queue of queues) {
      const place = queue.pop();
      if (place !== undefined && sample.length < count) sample.push(place);
    }
  }
  return sample;
}

function shuffled<T>(values: readonly T[], random: RandomStream): T[] {
  return [...random.permutation(values.length)].map((i) => values[i]);
}
