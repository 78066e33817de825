// Joining a group over ZeroMQ: bind, learn everybody's endpoint, prove that all can be reached. The collectives are elsewhere.
import { type Logger, SlipError, silentLogger, withDeadline } from '@slip/core';
import { FrameMesh } from '../frame-mesh.js';
import { type Membership, membershipOf } from '../frames/frame.js';
import type { SumOrder } from '../mesh-collectives.js';
import { MeshGroup } from '../mesh-group.js';
import { noTraffic, type ProcessGroup } from '../process-group.js';
import { shareMemory } from '../shared/share-memory.js';
import { openLanes } from '../tcp/open-lanes.js';
import type { Wire } from '../wire.js';
import { loadLibZmq } from './libzmq.js';
import { LibZmqWire } from './libzmq-wire.js';
import type { CurveKeys, ZeroMqWireOptions } from './wire-options.js';
import { ZeroMqJsWire } from './zeromqjs-wire.js';

/**
 * `shared`: ranks of one machine use memory that they share, where they can; between machines tensors go over ZeroMQ where there are
 * keys, and through plain tcp where there are none. `tcp`: so they go on one machine too. `zmq`: everything goes over ZeroMQ.
 */
export type Transport = 'shared' | 'tcp' | 'zmq';

export interface ZeroMqGroupOptions {
  /** 0 to `worldSize - 1`. */
  readonly rank: number;
  readonly worldSize: number;
  readonly runId: string;
  /** Restarts so far; frames of other generations are dropped. */
  readonly generation: number;
  /** Address at which the other ranks reach this one. */
  readonly host: string;
  /** Address to listen on; `host` without it. */
  readonly bindHost?: string;
  /** Deadline of every wait; 30 s without it. Time in which this process is suspended does not count. */
  readonly timeoutMs?: number;
  /** Gives our endpoint to the others and returns all endpoints in rank order, the same list on every rank. */
  readonly exchange: (endpoint: string) => Promise<string[]>;
  readonly transport?: Transport;
  /** `libzmq`: it is called directly where that is possible. `zeromq.js`: slower for long messages, the same frames and results. */
  readonly zeromq?: 'libzmq' | 'zeromq.js';
  /** With `tree`, sums do not depend on how ranks are spread over machines, and short and long ones are made alike. */
  readonly order?: SumOrder;
  /** Encrypts and authenticates what goes over ZeroMQ; the same on all ranks. */
  readonly keys?: CurveKeys;
  /** Ranks with the same name share memory; without it, those on the same machine. */
  readonly machine?: string;
  /** Where `allocate` takes memory that ranks do not share; an array without it. */
  readonly ordinaryMemory?: (elements: number) => Float32Array;
  /** Ends all waits at once, with its reason. */
  readonly signal?: AbortSignal;
  readonly log?: Logger;
}

/**
 * Joins the group. Before it returns, every rank has proved that it reaches every other one. Needs Node 20.15, 22.2 or later.
 * @throws SlipError `rendezvous` naming the rank that does not come or cannot be reached; the signal's reason
 */
export async function connectZeroMqGroup(options: ZeroMqGroupOptions): Promise<ProcessGroup> {
  const { rank, worldSize, runId, generation, host, bindHost = host, timeoutMs = 30_000, exchange, signal } = options;
  signal?.throwIfAborted();
  if (options.transport === 'tcp' && options.keys !== undefined)
    throw new SlipError('config', '--transport tcp encrypts nothing: add --comm-encryption off, or leave it out');
  const traffic = noTraffic();
  const log = options.log ?? silentLogger;
  const wireOptions = {
    ...{ rank, host, bindHost, traffic, log },
    ...(options.keys === undefined ? {} : { keys: options.keys }),
  };
  const { wire, way } = await bindWire(wireOptions, worldSize, options.zeromq ?? 'libzmq');
  const mesh = new FrameMesh({ rank, worldSize, timeoutMs, wire, traffic });
  let membership: Membership;
  const abort = listenForAbort(signal, (reason) => mesh.fail(reason));
  try {
    const exchanged = Promise.race([exchange(wire.endpoint), abort.happened]);
    const what = `the addresses of all ${worldSize} ranks`;
    const endpoints = await withDeadline(exchanged, timeoutMs, what, 'rendezvous');
    checkEndpoints(endpoints, wire.endpoint, rank, worldSize);
    membership = membershipOf(runId, generation, endpoints);
    wire.join(endpoints, membership, mesh);
    await mesh.meet(endpoints);
  } catch (error) {
    abort.forget();
    mesh.fail(toError(error));
    await mesh.close(toError(error));
    throw mesh.failure;
  }
  const group = new MeshGroup(mesh, abort.forget, options.order, options.ordinaryMemory);
  const { transport = 'shared', machine, order } = options;
  const sayHow = (how: string) => (rank === 0 ? log.info(`frames go through ${how}`) : undefined);
  if (transport === 'zmq') {
    sayHow(way);
    return group;
  }
  try {
    const shared = transport === 'tcp' ? undefined : await shareMemory({ group, mesh, timeoutMs, machine, order, log });
    const ring = shared?.across ?? Array.from({ length: worldSize }, (_, r) => r);
    const wantsLanes = transport === 'tcp' || options.keys === undefined;
    if (ring.length > 1 && wantsLanes) {
      const missing = 'addLane' in wire ? '' : way;
      const lanes = await openLanes({ group, membership, ring, host, bindHost, timeoutMs, missing });
      if (typeof lanes !== 'string') for (const [peer, lane] of lanes) wire.addLane!(peer, lane);
      else if (transport === 'tcp') throw new SlipError('rendezvous', `--transport tcp cannot be had: ${lanes}`);
      sayHow(typeof lanes === 'string' ? `${way}; not through tcp alone: ${lanes}` : `tcp, signals through ${way}`);
    } else if (ring.length > 1) sayHow(way);
    group.begin(shared);
    return group;
  } catch (error) {
    await group.close();
    throw error;
  }
}

type BoundWire = Wire & Pick<LibZmqWire, 'endpoint' | 'join'> & Partial<Pick<LibZmqWire, 'addLane'>>;

/** @returns the wire, and in words what it goes through */
async function bindWire(
  options: ZeroMqWireOptions,
  worldSize: number,
  wanted: 'libzmq' | 'zeromq.js',
): Promise<{ wire: BoundWire; way: string }> {
  const zmq = wanted === 'libzmq' ? loadLibZmq() : { missing: 'it was asked for' };
  if ('missing' in zmq) return { wire: await ZeroMqJsWire.bind(options), way: `zeromq.js: ${zmq.missing}` };
  return { wire: LibZmqWire.bind(zmq, options, worldSize), way: `libzmq ${zmq.version}, called directly` };
}

function listenForAbort(signal: AbortSignal | undefined, act: (reason: Error) => void) {
  let listener = () => {};
  const happened = new Promise<never>((_, reject) => {
    listener = () => {
      const reason = toError(signal?.reason);
      act(reason);
      reject(reason);
    };
  });
  // Nobody may be waiting for it when it happens.
  happened.catch(() => undefined);
  if (signal?.aborted) listener();
  signal?.addEventListener('abort', listener, { once: true });
  return { happened, forget: () => signal?.removeEventListener('abort', listener) };
}

function checkEndpoints(endpoints: readonly string[], own: string, rank: number, worldSize: number): void {
  if (endpoints.length === worldSize && endpoints[rank] === own) return;
  throw new SlipError(
    'rendezvous',
    `rank ${rank} of ${worldSize} offered ${own} and was given [${endpoints.join(', ')}]; are two processes the same rank?`,
  );
}

function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new SlipError('stopped', String(thrown));
}
