// The collectives as a group sees them, whatever carries them.
import type { Dtype, Operation } from './mesh.js';
import type { Reduction } from './vector/kernels.js';

/** One collective under way: its place in the order of calls, and what all ranks must agree on. */
export interface Call {
  readonly operation: Operation;
  readonly sequence: number;
  readonly dtype: Dtype;
  readonly elements: number;
  readonly root: number;
}

/** Where each rank's part of a buffer begins and ends. */
export type Parts = readonly (readonly [start: number, end: number])[];

export interface Collectives {
  allReduce(call: Call, buffer: Float32Array, op: Reduction): Promise<void>;
  /** `output` becomes the sum of everybody's own part of `input`. */
  reduceScatter(call: Call, input: Float32Array, output: Float32Array, parts: Parts): Promise<void>;
  /** `input` is the own part of `output`, and may lie there already. */
  allGather(call: Call, input: Float32Array, output: Float32Array, parts: Parts): Promise<void>;
  broadcast(call: Call, bytes: Uint8Array): Promise<void>;
  /** Every rank's bytes, in rank order; at most `MAX_PAYLOAD_BYTES`. */
  exchangeBytes(call: Call, own: Uint8Array): Promise<Uint8Array[]>;
}

/** Elements of a page of memory: no two ranks write to the same one. */
const GRANULE = 1024;

/** `count` parts that differ by at most one granule, which is one element where there are few; the last part takes the rest. */
export function splitEvenly(length: number, count: number): Parts {
  const granule = length >= count * GRANULE ? GRANULE : 1;
  const granules = Math.ceil(length / granule);
  const end = (i: number) => Math.min(length, Math.floor((granules * i) / count) * granule);
  return Array.from({ length: count }, (_, i) => [end(i), end(i + 1)]);
}

/** The lengths of even parts: shards of these lengths are summed by `reduceScatter` exactly as `allReduce` sums them. */
export function shardLengths(elements: number, worldSize: number): number[] {
  return splitEvenly(elements, worldSize).map(([start, end]) => end - start);
}

/** Parts of these lengths, one after another. */
export function partsOf(lengths: readonly number[]): Parts {
  let end = 0;
  return lengths.map((length) => {
    const start = end;
    end += length;
    return [start, end];
  });
}
