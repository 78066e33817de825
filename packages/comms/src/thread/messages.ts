// What a rank's main thread and its communication thread say to each other, and how arrays, errors and memory are put into it.
import { type MemoryPlace, SlipError } from '@slip/core';
import type { FlightRecord, MemoryKind, Traffic } from '../process-group.js';
import type { ZeroMqGroupOptions } from '../zeromq/connect.js';

/** What of the options can be sent to a thread. */
export type ThreadOptions = Omit<ZeroMqGroupOptions, 'exchange' | 'signal' | 'log' | 'ordinaryMemory'>;

/** The collectives that are carried out in the thread, and which of their arguments they write to. */
export const WRITTEN_ARGUMENT = {
  allReduce: 0,
  reduceScatter: 1,
  allGather: 1,
  broadcast: 0,
  allGatherObject: undefined,
  barrier: undefined,
} as const;
export type Method = keyof typeof WRITTEN_ARGUMENT;

/** An array in memory that both threads see, a copy of one, or any other value. */
export type Argument =
  | { readonly arena: number; readonly offset: number; readonly length: number }
  | { readonly copy: Float32Array | Uint8Array }
  | { readonly plain: unknown };

/** Where memory lies in the address space of both threads, until the process ends; `unseen` where it cannot be made so. */
export type Place = MemoryPlace | 'unseen';

export type ToThread =
  | { readonly kind: 'call'; readonly id: number; readonly method: Method; readonly args: readonly Argument[] }
  | { readonly kind: 'allocate'; readonly id: number; readonly elements: number; readonly memory: MemoryKind }
  | { readonly kind: 'endpoints'; readonly endpoints: string[] }
  | { readonly kind: 'abort'; readonly error: PlainError }
  /** The records are put into the port of `ThreadStart`, then the word is set and its waiter woken. */
  | { readonly kind: 'records'; readonly ready: SharedArrayBuffer }
  | { readonly kind: 'close' };

export type FromThread =
  | { readonly kind: 'exchange'; readonly endpoint: string }
  | { readonly kind: 'connected' }
  | { readonly kind: 'notConnected'; readonly error: PlainError }
  | { readonly kind: 'done'; readonly id: number; readonly value: unknown; readonly traffic: Traffic }
  | { readonly kind: 'failed'; readonly id: number; readonly error: PlainError; readonly traffic: Traffic }
  | { readonly kind: 'log'; readonly level: 'error' | 'warn' | 'info' | 'debug'; readonly message: string }
  | { readonly kind: 'closed'; readonly traffic: Traffic; readonly records: readonly FlightRecord[] };

export interface ThreadStart {
  readonly options: ThreadOptions;
  readonly records: import('node:worker_threads').MessagePort;
}

/** An error as facts: a copy of the object would lose its class. */
export interface PlainError {
  readonly code: SlipError['code'];
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export function toPlainError(thrown: unknown): PlainError {
  const { code, message, details } = SlipError.from(thrown);
  return { code, message, details: JSON.parse(JSON.stringify(details)) };
}

export function fromPlainError({ code, message, details }: PlainError): SlipError {
  return new SlipError(code, message, { details: { ...details } });
}
