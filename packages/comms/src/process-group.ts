// The contract of a process group: what trainers and evaluations see of the other ranks. No implementation here.

/**
 * Ranks that compute together. Every rank makes the same calls with the same sizes in the same order; calls on one group are
 * carried out one after another, so they need not be awaited singly. Buffers are borrowed until the promise settles.
 *
 * Sums have a fixed order, so equal inputs give equal bits on all ranks and in every run, whatever the order of arrival:
 * in float32, from rank 0 upwards where `chooseAlgorithm` says `direct`; where it says `ring`, part `p` of `worldSize` parts
 * (`floor(length * p / worldSize)` up to `floor(length * (p + 1) / worldSize)`) starts with rank `p` in `allReduce` and with
 * rank `p + 1` in `reduceScatter`, and goes once around upwards.
 *
 * Every method rejects with SlipError `peer-lost`, naming the rank, when a peer is late, gone, or at another operation, size
 * or type; with the reason of the abort signal when there was one. After a failure the group stays failed: all ranks are
 * told, and every later call rejects with the first error.
 */
export interface ProcessGroup {
  readonly rank: number;
  readonly worldSize: number;
  /** Elementwise over all ranks, in place. */
  allReduce(buffer: Float32Array, op?: 'sum' | 'max'): Promise<void>;
  /** `output` becomes part `rank` of the elementwise sum of all inputs: `input.length = worldSize * output.length`. */
  reduceScatter(input: Float32Array, output: Float32Array): Promise<void>;
  /** `output` becomes every rank's input in rank order: `output.length = worldSize * input.length`. */
  allGather(input: Float32Array, output: Float32Array): Promise<void>;
  /** Fills every rank's buffer with that of `root`. */
  broadcast(buffer: Float32Array | Uint8Array, root: number): Promise<void>;
  /** Small JSON values of all ranks, in rank order; at most 1 MiB of JSON each. */
  allGatherObject<T>(value: T): Promise<T[]>;
  barrier(): Promise<void>;
  /** Calls still under way reject; the others learn that this rank has left. Takes less than a second, whatever they do. */
  close(): Promise<void>;
  readonly traffic: Traffic;
}

export interface Traffic {
  /** Headers and control frames included. */
  bytesSent: number;
  messages: number;
  /** Time spent waiting for frames of others. */
  waitMs: number;
  /** Frames that were no frames of this run, generation and set of ranks; they were dropped. */
  foreignFrames: number;
}

export function noTraffic(): Traffic {
  return { bytesSent: 0, messages: 0, waitMs: 0, foreignFrames: 0 };
}
