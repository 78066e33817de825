// The contract of a process group: what trainers and evaluations see of the other ranks. No implementation here.
import type { FlightRecord } from './flight-recorder.js';
import type { WireType } from './vector/kernels.js';

export type { FlightRecord };

/**
 * Ranks that compute together. Every rank makes the same calls with the same sizes in the same order; calls on one group are
 * carried out one after another, so they need not be awaited singly. Buffers are borrowed until the promise settles.
 *
 * Sums have a fixed order, so equal inputs give equal bits on all ranks and in every run, whatever the order of arrival. They
 * are made in float32. Ranks that share memory, and those for which `chooseAlgorithm` says `direct`, are combined as a tree:
 * neighbours, then pairs of pairs (`combineTree`). Where it says `ring`, part `p` of W parts (`splitEvenly`, or the given
 * lengths) starts with rank `p + 1` and goes once around upwards. On several machines the members of tree and ring are the sums of the machines.
 *
 * Every method rejects with SlipError `peer-lost`, naming the rank, when a peer is late, gone, or at another operation, size
 * or type; with the reason of the abort signal when there was one. After a failure the group stays failed: all ranks are
 * told, and every later call rejects with the first error.
 */
export interface ProcessGroup {
  readonly rank: number;
  readonly worldSize: number;
  /**
   * Memory of zeros that collectives use without copying, where ranks of a machine can share it; ordinary memory elsewhere.
   * Called by all ranks alike, between other calls. `common` is one buffer for all ranks of a machine: what one writes, the
   * others see after the next collective.
   */
  allocate(elements: number, kind?: MemoryKind): Promise<Float32Array>;
  /**
   * Elementwise over all ranks, in place. What goes between machines may travel as halves, rounded at every hop; sums are
   * still made in float32, and all ranks have the same bits.
   */
  allReduce(buffer: Float32Array, op?: 'sum' | 'max', wire?: WireType): Promise<void>;
  /**
   * `output` becomes part `rank` of the elementwise sum of all inputs. Parts are equal (`input.length = worldSize *
   * output.length`) or as long as `lengths` says, the same on all ranks. `output` may be the own part of `input`.
   */
  reduceScatter(input: Float32Array, output: Float32Array, lengths?: readonly number[], wire?: WireType): Promise<void>;
  /** `output` becomes every rank's input in rank order; parts as above. `input` may be the own part of `output`. */
  allGather(input: Float32Array, output: Float32Array, lengths?: readonly number[]): Promise<void>;
  /** Fills every rank's buffer with that of `root`. */
  broadcast(buffer: Float32Array | Uint8Array, root: number): Promise<void>;
  /** Small JSON values of all ranks, in rank order; at most 1 MiB of JSON each. */
  allGatherObject<T>(value: T): Promise<T[]>;
  barrier(): Promise<void>;
  /** Calls still under way reject; the others learn that this rank has left. Takes less than a second, whatever they do. */
  close(): Promise<void>;
  readonly traffic: Traffic;
  /** The last calls on this rank, oldest first. */
  readonly flightRecords: readonly FlightRecord[];
}

/** Memory of the rank's own, or one for all ranks of a machine. */
export type MemoryKind = 'own' | 'common';

export interface Traffic {
  /** Headers and control frames included. */
  bytesSent: number;
  messages: number;
  /** Time spent waiting for frames of others. */
  waitMs: number;
  /** Time in which a collective was under way in the group's own thread; 0 where it has none. */
  threadMs: number;
  /** Frames that were no frames of this run, generation and set of ranks; they were dropped. */
  foreignFrames: number;
  /** Connections that did not get as far as a frame: without the keys of this run, or of another protocol. */
  refusedConnections: number;
}

export function noTraffic(): Traffic {
  return { bytesSent: 0, messages: 0, waitMs: 0, threadMs: 0, foreignFrames: 0, refusedConnections: 0 };
}
