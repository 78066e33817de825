// The communication thread of a rank: joins the real group and carries out what the main thread asks for, in the order in which it
// asks. It goes on while the main thread computes. Nothing is decided here.
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type Logger, threadMemory } from '@slip/core';
import type { ProcessGroup } from '../process-group.js';
import { loadNative, type Native } from '../shared/native.js';
import { connectZeroMqGroup } from '../zeromq/connect.js';
import {
  type Argument,
  type FromThread,
  fromPlainError,
  type Method,
  type Place,
  type ThreadStart,
  type ToThread,
  toPlainError,
  WRITTEN_ARGUMENT,
} from './messages.js';

const port = parentPort as MessagePort;
const { options, records } = workerData as ThreadStart;
const native = loadNative();
const arenas: Float32Array[] = [];
const abort = new AbortController();
let group: ProcessGroup | undefined;
let takeEndpoints: (endpoints: string[]) => void = () => {};
let closing = false;
/** Collectives run one after another: a call is under way from here, or from when it was asked for. */
let lastEndAt = 0;

port.on('message', (message: ToThread) => void take(message));
void connect();

async function connect(): Promise<void> {
  try {
    group = await connectZeroMqGroup({
      ...options,
      ...('missing' in native ? {} : { ordinaryMemory: (elements: number) => mappedArray(native, elements) }),
      exchange: (endpoint) => {
        send({ kind: 'exchange', endpoint });
        return new Promise((resolve) => {
          takeEndpoints = resolve;
        });
      },
      signal: abort.signal,
      log: logToMain(),
    });
    send({ kind: 'connected' });
  } catch (error) {
    send({ kind: 'notConnected', error: toPlainError(error) });
    port.close();
  }
}

async function take(message: ToThread): Promise<void> {
  if (message.kind === 'endpoints') takeEndpoints(message.endpoints);
  else if (message.kind === 'abort') abort.abort(fromPlainError(message.error));
  else if (message.kind === 'records') showRecords(message.ready);
  else if (message.kind === 'close') await close();
  else await carryOut(message);
}

async function carryOut(message: Extract<ToThread, { kind: 'call' | 'allocate' }>): Promise<void> {
  const askedAt = performance.now();
  const { id } = message;
  try {
    const value =
      message.kind === 'call' ? await call(message.method, message.args.map(decode)) : await allocate(message);
    countTime(askedAt);
    send({ kind: 'done', id, value, traffic: group!.traffic });
  } catch (error) {
    countTime(askedAt);
    send({ kind: 'failed', id, error: toPlainError(error), traffic: group!.traffic });
  }
}

/** @returns the value of the call, or what it wrote into a copy */
async function call(method: Method, args: readonly { value: unknown; isCopy: boolean }[]): Promise<unknown> {
  const run = group![method] as (...values: unknown[]) => Promise<unknown>;
  const value = await run.apply(
    group,
    args.map((argument) => argument.value),
  );
  const written = WRITTEN_ARGUMENT[method];
  return written !== undefined && args[written].isCopy ? args[written].value : value;
}

async function allocate(message: Extract<ToThread, { kind: 'allocate' }>): Promise<Place> {
  const array = await group!.allocate(message.elements, message.memory);
  if ('missing' in native) return 'unseen';
  arenas.push(array);
  return threadMemory()?.placeOf(array) ?? 'unseen';
}

/** Mapped, since memory of JavaScript's own ends with its thread, and ONNX Runtime takes no SharedArrayBuffer. */
function mappedArray({ mapPrivate }: Native, elements: number): Float32Array {
  const bytes = Math.max(1, elements) * Float32Array.BYTES_PER_ELEMENT;
  return new Float32Array(mapPrivate(bytes), 0, elements);
}

function decode(argument: Argument): { value: unknown; isCopy: boolean } {
  if ('copy' in argument) return { value: argument.copy, isCopy: true };
  if ('plain' in argument) return { value: argument.plain, isCopy: false };
  const { arena, offset, length } = argument;
  return { value: arenas[arena].subarray(offset, offset + length), isCopy: false };
}

function countTime(askedAt: number): void {
  const now = performance.now();
  group!.traffic.threadMs += now - Math.max(askedAt, lastEndAt);
  lastEndAt = now;
}

function showRecords(ready: SharedArrayBuffer): void {
  records.postMessage(group?.flightRecords ?? []);
  const word = new Int32Array(ready);
  Atomics.store(word, 0, 1);
  Atomics.notify(word, 0);
}

async function close(): Promise<void> {
  if (closing) return;
  closing = true;
  await group!.close();
  // Calls that this has ended tell of it first.
  await new Promise((resolve) => setImmediate(resolve));
  send({ kind: 'closed', traffic: group!.traffic, records: group!.flightRecords });
  records.close();
  port.close();
}

function logToMain(): Logger {
  const at = (level: keyof Logger) => (message: string) => send({ kind: 'log', level, message });
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}

function send(message: FromThread): void {
  port.postMessage(message);
}
