// For tests: trainings that are killed at any of their operations, several times one after the other, and go on each time, compared
// with one that never was killed.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { RandomStream } from '@slip/core';
import type { KillPoint, ThreadName } from './fixtures/kill-point.js';
import {
  datasetFlags,
  finalWeights,
  makeTinySet,
  start,
  stepRecords,
  TINY_MODEL_OF_TWO_LENGTHS,
} from './launch-runs.js';

const hook = pathToFileURL(path.join(import.meta.dirname, 'fixtures/kill-point.js')).href;
/** Many more than a start makes before it is killed, so that a run can be killed many times. */
const STEPS = 24;
/** Points are in this first part of a run, but for operations that come at the end alone. */
const FIRST_PART = 0.25;
const SMALLER = ['--vision-depth', '1', '--text-depth', '1'];

/** A point of a run, and whether only a start that gets to the end of the training comes by. */
export interface Place extends KillPoint {
  readonly isAtEnd: boolean;
}

export interface KillSeries {
  readonly places: readonly Place[];
  /**
   * Kills each start of a run at one of these places, lets the last one end, and compares.
   * @returns what happened, for people; one line for each kill that was reached
   */
  kill(chain: readonly Place[]): Promise<string[]>;
}

/** SLIP with batch norm, two micro-batches a step, saves every other step while training goes on, two loader threads a rank. */
export async function prepareKillSeries(folder: string, ranks: number): Promise<KillSeries> {
  const set = await makeTinySet(path.join(folder, 'set'), 60);
  const launchWith = (name: string, restarts: number, environment: NodeJS.ProcessEnv) =>
    start(
      [
        ...['--nproc', String(ranks), '--rows-per-micro-batch', '8', '--update-freq', '2', '--epochs', '9'],
        ...['--checkpoint-every-steps', '2', '--checkpoint-writers', String(ranks), '--max-restarts', String(restarts)],
        // So that a save soon follows that replaces another, and on tmpfs (TMPDIR=/dev/shm) writes over its files.
        ...['--keep-checkpoints', '1'],
        ...[
          '--model',
          'SLIP_VITS16',
          ...TINY_MODEL_OF_TWO_LENGTHS,
          ...SMALLER,
          '--workers',
          '2',
          '--max-steps',
          String(STEPS),
        ],
        ...[...datasetFlags(set), '--comm-timeout', '60'],
        ...['--output-dir', path.join(folder, name)],
      ],
      { NODE_OPTIONS: `--import=${hook}`, ...environment },
    ).finished;
  const operations = path.join(folder, 'operations');
  mkdirSync(operations);
  const undisturbed = await launchWith('undisturbed', 0, { SLIP_TEST_OPERATIONS: operations });
  assert.equal(undisturbed.code, 0, undisturbed.output);
  const expected = finalWeights(path.join(folder, 'undisturbed'));
  assert.equal(expected.step, STEPS);
  const losses = (name: string) => stepRecords(path.join(folder, name)).map(({ step, loss }) => [step, loss]);
  let runs = 0;
  return {
    places: readPlaces(operations),
    async kill(chain) {
      const name = `killed-${runs++}`;
      const reached = path.join(folder, `${name}-reached`);
      mkdirSync(reached);
      const kills = JSON.stringify(chain);
      const environment = { SLIP_TEST_KILLS: kills, SLIP_TEST_REACHED: reached };
      const { code, output } = await launchWith(name, chain.length, environment);
      const happened = chain.flatMap((place, i) =>
        existsSync(path.join(reached, String(i))) ? [describe(place)] : [],
      );
      const where = `${happened.join('; ')}\n${output}`;
      assert.equal(code, 0, where);
      // The agent also kills ranks that do not leave after the death of another.
      assert.ok((output.match(/killed by SIGKILL/g)?.length ?? 0) >= happened.length, where);
      assert.deepEqual(finalWeights(path.join(folder, name)), expected, where);
      assert.deepEqual(losses(name), losses('undisturbed'), where);
      rmSync(path.join(folder, name), { recursive: true });
      const starts = [...output.matchAll(/continuing from \S+ \(step (\d+)\)/g)].map(([, step]) => step);
      return [...happened, `went on from steps ${starts.join(', ')}; equal bits`];
    },
  };
}

function describe({ rank, thread, operation, occurrence }: Place): string {
  return `rank ${rank}, ${thread} thread, before ${operation} ${occurrence}`;
}

function readPlaces(folder: string): Place[] {
  return readdirSync(folder).flatMap((name) => {
    const [rank, thread] = name.split('-');
    const lines = readFileSync(path.join(folder, name), 'utf8').trim().split('\n');
    const counts = new Map<string, number>();
    return lines.flatMap((operation, index) => {
      const occurrence = (counts.get(operation) ?? 0) + 1;
      counts.set(operation, occurrence);
      const isAtEnd = index >= FIRST_PART * lines.length;
      if (isAtEnd && occurrence > 1) return [];
      return [{ rank: Number(rank), thread: thread as ThreadName, operation, occurrence, isAtEnd }];
    });
  });
}

/**
 * Chains of places: of each kind of operation of each thread of each rank in turn, so that none is forgotten; those at the end of
 * a run close their chain.
 */
export function sampleChains(places: readonly Place[], chains: number, length: number, seed: number): Place[][] {
  const random = new RandomStream(seed, 'kill places');
  const kinds = new Map<string, Place[]>();
  for (const place of places) {
    const kind = `${place.rank} ${place.thread} ${place.operation}`;
    kinds.set(kind, [...(kinds.get(kind) ?? []), place]);
  }
  const queues = shuffled([...kinds.values()], random).map((kind) => shuffled(kind, random));
  const sample: Place[] = [];
  const wanted = chains * length;
  while (sample.length < wanted && queues.some((queue) => queue.length > 0)) {
    sample.push(...queues.flatMap((queue) => queue.splice(-1)).slice(0, wanted - sample.length));
  }
  // Dealt out like cards, the ones at the end last, so that a chain has at most one more of these than another.
  sample.sort((a, b) => Number(a.isAtEnd) - Number(b.isAtEnd));
  return Array.from({ length: chains }, (_, chain) => sample.filter((_, i) => i % chains === chain));
}

function shuffled<T>(values: readonly T[], random: RandomStream): T[] {
  return [...random.permutation(values.length)].map((i) => values[i]);
}
