// A process group whose collectives run in a thread of their own, so that they go on while the main thread computes: the main
// thread's side. It passes calls on and gives back results; the group itself is in `comm-thread.ts`.
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import {
  invariant,
  type Logger,
  type MemoryPlace,
  SlipError,
  silentLogger,
  threadMemory,
  withDeadline,
} from '@slip/core';
import { type FlightRecord, type MemoryKind, noTraffic, type ProcessGroup, type Traffic } from '../process-group.js';
import type { WireType } from '../vector/kernels.js';
import type { ZeroMqGroupOptions } from '../zeromq/connect.js';
import {
  type Argument,
  type FromThread,
  fromPlainError,
  type Method,
  type PlainError,
  type ThreadOptions,
  type ThreadStart,
  type ToThread,
  toPlainError,
  WRITTEN_ARGUMENT,
} from './messages.js';

/** How long the thread may take to leave, and to show its records. */
const LEAVE_MS = 5000;
const RECORDS_MS = 300;

/**
 * As `connectZeroMqGroup`, in a thread. Arrays from `allocate` are used where they are,
 * where memory can be mapped (koffi); others are copied to the thread and back.
 * @throws SlipError as `connectZeroMqGroup`
 */
export async function connectThreadGroup(options: ZeroMqGroupOptions): Promise<ProcessGroup> {
  const { exchange, signal, log, ordinaryMemory: _, ...plain } = options;
  signal?.throwIfAborted();
  const group = new ThreadGroup(plain, exchange, log ?? silentLogger);
  const onAbort = () => group.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  group.onEnd = () => signal?.removeEventListener('abort', onAbort);
  await group.connected;
  return group;
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A call that has not been passed on. */
interface Waiting {
  readonly copies: boolean;
  readonly pass: () => void;
}

class ThreadGroup implements ProcessGroup {
  readonly rank: number;
  readonly worldSize: number;
  readonly connected: Promise<void>;
  traffic: Traffic = noTraffic();
  onEnd = () => {};
  private readonly worker: Worker;
  private readonly log: Logger;
  private readonly records: MessagePort;
  private lastRecords: readonly FlightRecord[] = [];
  private readonly arenas: Float32Array[] = [];
  private readonly pending = new Map<number, Pending>();
  private readonly waiting: Waiting[] = [];
  private nextId = 0;
  /** The first failure stays the same object, as in a group without a thread. */
  private failure: SlipError | undefined;
  /** Why no more calls are taken. */
  private ended: SlipError | undefined;
  private closed: Promise<void> | undefined;
  private readonly exited: Promise<void>;

  constructor(options: ThreadOptions, exchange: ZeroMqGroupOptions['exchange'], log: Logger) {
    this.rank = options.rank;
    this.worldSize = options.worldSize;
    this.log = log;
    const { port1, port2 } = new MessageChannel();
    this.records = port1;
    const workerData: ThreadStart = { options, records: port2 };
    const program = new URL('./comm-thread.js', import.meta.url);
    this.worker = new Worker(program, { workerData, transferList: [port2], name: 'communication' });
    this.connected = new Promise((resolve, reject) => {
      this.pending.set(this.nextId++, { resolve: () => resolve(), reject });
    });
    this.worker.on('message', (message: FromThread) => this.take(message, exchange));
    this.worker.on('error', (error) => {
      this.end(new SlipError('internal', `the communication thread failed: ${error.message}`, { cause: error }));
    });
    this.exited = new Promise((resolve) => {
      this.worker.on('exit', () => {
        this.end(new SlipError('internal', 'the process group is closed'));
        resolve();
      });
    });
  }

  async allocate(elements: number, kind: MemoryKind = 'own'): Promise<Float32Array> {
    const place = await this.pass(true, (id) => ({ kind: 'allocate', id, elements, memory: kind }));
    if (place === 'unseen') return new Float32Array(elements);
    const memory = threadMemory();
    invariant(memory !== undefined, 'the other thread found it');
    const array = new Float32Array(memory.viewAt(place as MemoryPlace), 0, elements);
    this.arenas.push(array);
    return array;
  }

  async allReduce(buffer: Float32Array, op: 'sum' | 'max' = 'sum', wire: WireType = 'float32'): Promise<void> {
    await this.call('allReduce', [buffer, op, wire]);
  }

  async reduceScatter(
    input: Float32Array,
    output: Float32Array,
    lengths?: readonly number[],
    wire: WireType = 'float32',
  ): Promise<void> {
    await this.call('reduceScatter', [input, output, lengths, wire]);
  }

  async allGather(input: Float32Array, output: Float32Array, lengths?: readonly number[]): Promise<void> {
    await this.call('allGather', [input, output, lengths]);
  }

  async broadcast(buffer: Float32Array | Uint8Array, root: number): Promise<void> {
    await this.call('broadcast', [buffer, root]);
  }

  async allGatherObject<T>(value: T): Promise<T[]> {
    // As JSON sees it: what JSON leaves out, a message between threads may refuse.
    const json = JSON.stringify(value);
    return (await this.call('allGatherObject', [json === undefined ? null : JSON.parse(json)])) as T[];
  }

  async barrier(): Promise<void> {
    await this.call('barrier', []);
  }

  /** Asks the thread, which answers within milliseconds unless it is stuck; its last answer then. */
  get flightRecords(): readonly FlightRecord[] {
    if (this.ended === undefined) {
      const ready = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
      this.post({ kind: 'records', ready });
      Atomics.wait(new Int32Array(ready), 0, 0, RECORDS_MS);
      for (let next = receiveMessageOnPort(this.records); next; next = receiveMessageOnPort(this.records))
        this.lastRecords = next.message;
    }
    return this.lastRecords;
  }

  abort(reason: unknown): void {
    this.failure ??= SlipError.from(reason);
    this.post({ kind: 'abort', error: toPlainError(reason) });
  }

  close(): Promise<void> {
    this.closed ??= this.leave();
    return this.closed;
  }

  private async leave(): Promise<void> {
    if (this.ended === undefined) this.post({ kind: 'close' });
    try {
      await withDeadline(this.exited, LEAVE_MS, 'the end of the communication thread', 'internal');
    } catch {
      this.log.warn('the communication thread did not end by itself and was stopped');
      await this.worker.terminate();
    }
  }

  private async call(method: Method, values: readonly unknown[]): Promise<unknown> {
    const written = WRITTEN_ARGUMENT[method];
    const copies = values.some((value) => ArrayBuffer.isView(value) && this.find(value as Float32Array) === undefined);
    const result = await this.pass(copies, (id) => ({
      ...{ kind: 'call', id, method },
      args: values.map((value) => this.encode(value)),
    }));
    const target = written === undefined ? undefined : (values[written] as Float32Array | Uint8Array);
    if (target !== undefined && ArrayBuffer.isView(result)) target.set(result as Float32Array);
    return result;
  }

  /**
   * Passes calls on in their order. What is copied may be the result of a call before it, so such a call waits until those are done.
   */
  private pass(copies: boolean, message: (id: number) => ToThread): Promise<unknown> {
    if (this.ended !== undefined) return Promise.reject(this.ended);
    return new Promise((resolve, reject) => {
      const pass = () => {
        const id = this.nextId++;
        this.pending.set(id, { resolve, reject });
        this.post(message(id));
      };
      this.waiting.push({ copies, pass });
      this.passWaiting();
    });
  }

  private passWaiting(): void {
    while (this.waiting.length > 0 && !(this.waiting[0].copies && this.pending.size > 0)) this.waiting.shift()!.pass();
  }

  private take(message: FromThread, exchange: ZeroMqGroupOptions['exchange']): void {
    if (message.kind === 'exchange') void this.exchange(message.endpoint, exchange);
    else if (message.kind === 'connected') this.settle(0, ({ resolve }) => resolve(undefined));
    else if (message.kind === 'notConnected') this.end(this.errorOf(message.error));
    else if (message.kind === 'log') this.log[message.level](message.message);
    else {
      this.traffic = message.traffic;
      if (message.kind === 'closed') this.lastRecords = message.records;
      else if (message.kind === 'done') this.settle(message.id, ({ resolve }) => resolve(message.value));
      else this.settle(message.id, ({ reject }) => reject(this.errorOf(message.error)));
    }
  }

  private async exchange(endpoint: string, exchange: ZeroMqGroupOptions['exchange']): Promise<void> {
    try {
      this.post({ kind: 'endpoints', endpoints: await exchange(endpoint) });
    } catch (error) {
      this.abort(error);
    }
  }

  private settle(id: number, act: (pending: Pending) => void): void {
    const pending = this.pending.get(id);
    this.pending.delete(id);
    if (pending === undefined) return;
    act(pending);
    // What it wrote is copied back by its caller, before a call that waits reads it.
    if (this.waiting.length > 0) setImmediate(() => this.passWaiting());
  }

  private errorOf(plain: PlainError): SlipError {
    const isKnown = this.failure?.code === plain.code && this.failure.message === plain.message;
    if (!isKnown) this.failure = fromPlainError(plain);
    return this.failure!;
  }

  private end(error: SlipError): void {
    if (this.ended !== undefined) return;
    this.ended = error;
    this.onEnd();
    this.records.close();
    for (const { reject } of this.pending.values()) reject(error);
    this.pending.clear();
    for (const { pass } of this.waiting.splice(0)) pass();
    for (const { reject } of this.pending.values()) reject(error);
    this.pending.clear();
  }

  private post(message: ToThread): void {
    this.worker.postMessage(message);
  }

  private encode(value: unknown): Argument {
    if (!ArrayBuffer.isView(value)) return { plain: value };
    const array = value as Float32Array | Uint8Array;
    return this.find(array) ?? { copy: array.slice() };
  }

  /** Where an array lies in memory that the thread knows. */
  private find(array: Float32Array | Uint8Array): Extract<Argument, { arena: number }> | undefined {
    if (!(array instanceof Float32Array)) return undefined;
    const arena = this.arenas.findIndex(({ buffer }) => buffer === array.buffer);
    if (arena < 0) return undefined;
    return { arena, offset: array.byteOffset / Float32Array.BYTES_PER_ELEMENT, length: array.length };
  }
}
