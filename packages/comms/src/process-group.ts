// What a group of ranks can do together; every implementation passes the suite in testing/.

/**
 * Collectives over `worldSize` ranks. Every rank makes the same calls in the same order; calls on one group are carried out
 * one after another. Buffers are borrowed until the promise settles. Sums have a fixed order, so equal inputs give equal
 * bits on all ranks and in every run. After a failure the group is unusable: every later call rejects with the first error.
 */
export interface ProcessGroup {
  readonly rank: number;
  readonly worldSize: number;
  /** Elementwise, in place. */
  allReduce(buffer: Float32Array, op?: 'sum' | 'max'): Promise<void>;
  /** `output` is part `rank` of the elementwise sum of all inputs: `input.length = worldSize * output.length`. */
  reduceScatter(input: Float32Array, output: Float32Array): Promise<void>;
  /** `output` is every rank's input in rank order: `output.length = worldSize * input.length`. */
  allGather(input: Float32Array, output: Float32Array): Promise<void>;
  /** Fills every rank's buffer with that of `root`. */
  broadcast(buffer: Float32Array | Uint8Array, root: number): Promise<void>;
  /** Small JSON values of all ranks, in rank order; at most 1 MiB each. */
  allGatherObject<T>(value: T): Promise<T[]>;
  barrier(): Promise<void>;
  close(): Promise<void>;
  readonly traffic: Traffic;
}

export interface Traffic {
  bytesSent: number;
  messages: number;
  /** Time spent waiting for frames of others. */
  waitMs: number;
}
