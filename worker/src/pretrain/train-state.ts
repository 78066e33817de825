// What training changes: parameters, gradients, moments, batch-norm statistics and the step counter, all in flat arenas.
// Not how it changes (train-step.ts) nor how it is stored (state-checkpoint.ts).
import { crc32 } from 'node:zlib';
import type { ProcessGroup } from '@slip/comms';
import type { Device } from '@slip/engine';
import { initialiseBuffersOf, initialiseParametersOf } from '@slip/model';
import type { StateLayout, TensorEntry } from '@slip/model/architecture';
import { type Bucket, wholeBucket } from './gradient-buckets.js';
import type { LossScale } from './loss-scale.js';

export interface TrainState {
  readonly entries: readonly TensorEntry[];
  /** Where steps over it are computed; the CPU without it. */
  readonly device?: Device;
  /** Every parameter, in state-dict order; a tensor is the view [offset, offset + size). One for all ranks of a machine. */
  readonly params: Float32Array;
  /** Gradients summed over micro-batches, laid out like `params`; after the reduction, the own shard is summed over ranks. */
  readonly grads: Float32Array;
  /**
   * Of the optimizer, by the name that PyTorch gives them: laid out like `params` and one for all ranks of a machine; between
   * saves only the shards of its ranks are valid.
   */
  readonly moments: Readonly<Record<string, Float32Array>>;
  /** How reductions and the optimizer cut the arenas; one bucket with everything where nothing is sent early. */
  buckets: readonly Bucket[];
  /** Running means and variances of the batch norms. */
  readonly buffers: Float32Array;
  /** How often the running statistics of each batch norm were updated (`num_batches_tracked`). */
  batchesTracked: number;
  /** Optimizer steps applied so far. */
  step: number;
  /** Present where gradients are scaled (float16). */
  lossScale?: LossScale;
  /** Best top-1 of zero-shot validation so far, percent. */
  bestAcc1: number;
  /** Ranks that have `params` and `moments` in common with this one, itself included, ascending. */
  readonly sharers: readonly number[];
}

/** Running averages of gradients and of their squares. */
export const ADAMW_MOMENTS: readonly string[] = ['exp_avg', 'exp_avg_sq'];

/**
 * A fresh state: the layout's initialisation, a pure function of `seed`, so every rank builds the same one. Collective.
 * @param momentNames what the optimizer keeps for each parameter
 */
export async function createTrainState(
  layout: StateLayout,
  seed: number,
  group: ProcessGroup,
  momentNames: readonly string[] = ADAMW_MOMENTS,
  device?: Device,
): Promise<TrainState> {
  const params = await group.allocate(layout.parameterCount, 'common');
  const grads = await group.allocate(layout.parameterCount);
  const moments: Record<string, Float32Array> = {};
  for (const name of momentNames) moments[name] = await group.allocate(layout.parameterCount, 'common');
  const sharers = await findSharers(group, [params, ...Object.values(moments)]);
  initialiseParametersOf(layout, seed, params, { index: sharers.indexOf(group.rank), count: sharers.length });
  await group.barrier();
  return {
    entries: layout.entries,
    ...(device === undefined ? {} : { device }),
    params,
    grads,
    moments,
    buckets: [wholeBucket(layout.entries, group.worldSize)],
    buffers: initialiseBuffersOf(layout),
    batchesTracked: 0,
    step: 0,
    bestAcc1: 0,
    sharers,
  };
}

/** Each rank leaves a mark in its arenas of zeros, looks for those of the others, and takes its own away. */
async function findSharers(group: ProcessGroup, arenas: readonly Float32Array[]): Promise<number[]> {
  const { rank, worldSize } = group;
  if (arenas.some(({ length }) => length < worldSize)) return [rank];
  const mark = (value: number) => {
    for (const arena of arenas) arena[rank] = value;
  };
  mark(1);
  await group.barrier();
  const sharers = Array.from({ length: worldSize }, (_, other) => other).filter((other) =>
    arenas.every((arena) => arena[other] === 1),
  );
  await group.barrier();
  mark(0);
  // Before that, nobody may write what another's mark would erase.
  await group.barrier();
  return sharers;
}

/** The view of one tensor in its arena. @throws RangeError for an unknown name */
export function tensorView(state: TrainState, arena: Float32Array, name: string): Float32Array {
  const entry = state.entries.find((candidate) => candidate.name === name);
  if (entry === undefined) throw new RangeError(`no tensor named ${name}`);
  return arena.subarray(entry.offset, entry.offset + entry.size);
}

/** Ranks that have an arena in common divide its checksum among them in so many pieces. */
const PIECES = 64;

/** What must be equal on all ranks, compared before the first step: counters and checksums, null where another rank sums that piece. */
export type StateSums = readonly (number | null)[];

export function stateSums(state: TrainState, { rank, worldSize }: ProcessGroup): StateSums {
  const { sharers, params, moments, buffers, batchesTracked, step } = state;
  const own = [crcOf(buffers), batchesTracked, step];
  // All ranks see the same memory.
  if (sharers.length === worldSize) return own;
  const index = sharers.indexOf(rank);
  const pieces = [params, ...Object.values(moments)].flatMap((arena) =>
    Array.from({ length: PIECES }, (_, piece) => {
      if (piece % sharers.length !== index) return null;
      const place = (part: number) => Math.floor((arena.length * part) / PIECES);
      return crcOf(arena.subarray(place(piece), place(piece + 1)));
    }),
  );
  return [...own, ...pieces];
}

/** @returns a rank whose state differs from that of a lower rank, and that rank; undefined where all are equal */
export function differingRanks(all: readonly StateSums[]): readonly [number, number] | undefined {
  for (const place of all[0]?.keys() ?? []) {
    const first = all.findIndex((sums) => sums[place] !== null);
    const other = all.findIndex((sums) => sums[place] !== null && sums[place] !== all[first]![place]);
    if (other >= 0) return [first, other];
  }
  return undefined;
}

function crcOf({ buffer, byteOffset, byteLength }: Float32Array): number {
  return crc32(new Uint8Array(buffer, byteOffset, byteLength));
}
