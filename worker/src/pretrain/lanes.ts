// Lanes: the shares of a micro-batch that a rank computes at the same time. Usually one. With `--reduce invariant` the world is
// cut into a fixed number of virtual ranks, each with a step of its own, and a rank runs several of them: the same numbers are
// added in the same order on any number of ranks.
import { sumTree } from '@slip/comms';
import { SlipError } from '@slip/core';
import type { TrainBatch, TrainLoader } from '@slip/data';
import type { StepCollectives, StepExecutor } from '@slip/engine';

export interface Lane {
  readonly executor: StepExecutor;
  readonly loader: TrainLoader;
  /** Writes a micro-batch, and whatever else belongs to it, into the inputs of the step. */
  readonly feed: Feed;
  /** Where the executor writes the gradients of one micro-batch. */
  readonly microGrads: Float32Array;
  /** Their sum over micro-batches; the same memory where there is only one micro-batch. */
  readonly grads: Float32Array;
}

/** @param place steps applied so far, and the micro-batch within this one */
export type Feed = (batch: TrainBatch, place: { readonly step: number; readonly micro: number }) => void;

/** Virtual ranks of a world, and which of them this rank runs. */
export interface LanePlan {
  /** Rows of each virtual rank; as many as the world of the traced step has. */
  readonly rows: readonly number[];
  readonly first: number;
  readonly count: number;
}

/**
 * @param shards virtual ranks; 0 for one on each rank
 * @param rows of a micro-batch on each rank
 * @throws SlipError `config` when they cannot be divided among the ranks, or the rows among them
 */
export function planLanes(shards: number, rank: number, rows: readonly number[]): LanePlan {
  if (shards === 0) return { rows, first: rank, count: 1 };
  const worldSize = rows.length;
  const isPowerOfTwo = (value: number) => value > 0 && (value & (value - 1)) === 0;
  const count = shards / worldSize;
  if (!isPowerOfTwo(shards) || !isPowerOfTwo(worldSize) || count < 1) {
    throw new SlipError(
      'config',
      `--reduce invariant needs powers of two, and no more ranks than --reduce-shards: found ${worldSize} ranks and ` +
        `${shards} shards`,
    );
  }
  const total = rows.reduce((sum, own) => sum + own, 0);
  if (total % shards !== 0) {
    throw new SlipError(
      'config',
      `--reduce invariant: ${total} rows per micro-batch cannot be divided among ${shards} shards; choose ` +
        '--batch-size so that they can, or fewer --reduce-shards',
    );
  }
  return { rows: new Array<number>(shards).fill(total / shards), first: rank * count, count };
}

/**
 * What each lane's step talks to. With one lane it is the group itself. With several, a call is complete when all lanes have made
 * it: their values are combined as the lower levels of the tree whose upper levels are the group's.
 */
export function laneCollectives(group: StepCollectives, count: number): StepCollectives[] {
  if (count === 1) return [group];
  const meeting = new Meeting(count);
  return Array.from({ length: count }, (_, lane) => ({
    allReduce: (buffer) =>
      meeting.join(lane, [buffer], async (calls) => {
        const buffers = calls.map(([own]) => own);
        sumTree(buffers, [buffers[0]]);
        await group.allReduce(buffers[0]);
        for (const other of buffers.slice(1)) other.set(buffers[0]);
      }),
    reduceScatter: (input, output) =>
      meeting.join(lane, [input, output], async (calls) => {
        const sum = new Float32Array(input.length);
        sumTree(
          calls.map(([own]) => own),
          [sum],
        );
        const parts = new Float32Array(output.length * count);
        await group.reduceScatter(sum, parts);
        for (const [i, [, own]] of calls.entries()) own.set(parts.subarray(i * own.length, (i + 1) * own.length));
      }),
    allGather: (input, output) =>
      meeting.join(lane, [input, output], async (calls) => {
        const parts = new Float32Array(input.length * count);
        for (const [i, [own]] of calls.entries()) parts.set(own, i * own.length);
        await group.allGather(parts, output);
        for (const [, own] of calls) if (own !== output) own.set(output);
      }),
  }));
}

/** Sums the gradients of all lanes into `grads`, which may be those of the first. */
export function sumLanes(lanes: readonly Lane[], grads: Float32Array): void {
  if (lanes.length === 1 && lanes[0].grads === grads) return;
  sumTree(
    lanes.map((lane) => lane.grads),
    [grads],
  );
}

/** Waits for as many callers as there are lanes, then lets the last of them do the work for all. */
class Meeting {
  private readonly count: number;
  private calls: Float32Array[][] = [];
  private present = 0;
  private waiting: { resolve(): void; reject(error: unknown): void }[] = [];

  constructor(count: number) {
    this.count = count;
  }

  async join(lane: number, call: Float32Array[], work: (calls: Float32Array[][]) => Promise<void>): Promise<void> {
    this.calls[lane] = call;
    this.present += 1;
    if (this.present < this.count) {
      return new Promise((resolve, reject) => {
        this.waiting.push({ resolve, reject });
      });
    }
    const { calls, waiting } = this;
    [this.calls, this.waiting, this.present] = [[], [], 0];
    try {
      await work(calls);
      for (const { resolve } of waiting) resolve();
    } catch (error) {
      for (const { reject } of waiting) reject(error);
      throw error;
    }
  }
}
