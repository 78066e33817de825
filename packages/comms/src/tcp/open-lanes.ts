// Opens lanes between neighbours of a ring, step by step, so that every rank knows what became of it on all: either all frames of
// collectives between neighbours go through lanes, or none do.
import { once } from 'node:events';
import net from 'node:net';
import { withDeadline } from '@slip/core';
import { encodeHeader, HEADER_BYTES, isIntact, type Membership, parseHeader } from '../frames/frame.js';
import type { ProcessGroup } from '../process-group.js';
import { NOBODY } from '../wire.js';
import { Lane } from './lane.js';
import { loadSockets, type Sockets } from './sockets.js';

export interface LaneOptions {
  /** Of all ranks, which call this alike; nothing else may be under way in it. */
  readonly group: Pick<ProcessGroup, 'rank' | 'allGatherObject' | 'traffic'>;
  readonly membership: Membership;
  /** Ranks that send long messages around a ring, in its order, the own one among them. Every rank is in one. */
  readonly ring: readonly number[];
  /** Address at which the others reach this rank, and the one to listen on. */
  readonly host: string;
  readonly bindHost: string;
  readonly timeoutMs: number;
  /** Why this rank's wire takes none; empty where it does. */
  readonly missing: string;
}

/**
 * Small enough to stay in the cache. The receiving one is left to the system: with a size of its own it promised more than it could
 * take, and dropped frames until the connection stood still for 200 ms at a time.
 */
const SEND_BUFFER = 512 << 10;
/** Of one neighbour, and strangers. */
const BACKLOG = 16;
/** A network that lets no second port through should not cost a run its start. */
const LONGEST_MS = 5000;
const NOTHING = new Uint8Array(0);
const HELLO = { operation: 'hello', sequence: 0, dtype: 'uint8', elements: 0, root: NOBODY, chunk: 0 } as const;

/** @returns lanes by rank, or why there are none, on all ranks alike */
export async function openLanes(options: LaneOptions): Promise<ReadonlyMap<number, Lane> | string> {
  const { group, timeoutMs } = options;
  const door = await attempt(() => openDoor(options));
  try {
    const offers = await group.allGatherObject({ error: door.error, host: options.host, port: door.value?.port ?? 0 });
    const without = offers.findIndex(({ error }) => error !== undefined);
    if (without >= 0) return `rank ${without}: ${offers[without].error}`;

    const lanes = new Map<number, Lane>();
    const { calls, answers } = neighboursOf(options.ring, group.rank);
    const opening = Promise.all([
      ...calls.map(async (peer) => lanes.set(peer, await call(door.value!.sockets, offers[peer], options))),
      ...answers.map(async (peer) => lanes.set(peer, await answer(door.value!, peer, options))),
    ]);
    const deadline = Math.min(timeoutMs / 2, LONGEST_MS);
    const opened = await attempt(() => withDeadline(opening, deadline, 'connections to its neighbours', 'rendezvous'));
    const errors = await group.allGatherObject(opened.error ?? null);
    const failed = errors.findIndex((error) => error !== null);
    if (failed < 0) return lanes;
    const closeAll = () => {
      for (const lane of lanes.values()) lane.close();
    };
    closeAll();
    // Those that open too late.
    opening.then(closeAll, closeAll);
    return `rank ${failed}: ${errors[failed]}`;
  } finally {
    door.value?.close();
  }
}

/** Each two neighbours share a lane, which the first one of them opens; two ranks are one pair. */
function neighboursOf(ring: readonly number[], rank: number): { calls: readonly number[]; answers: readonly number[] } {
  const place = ring.indexOf(rank);
  const [before, after] = [-1, 1].map((step) => ring[(place + step + ring.length) % ring.length]);
  if (ring.length > 2) return { calls: [after], answers: [before] };
  if (ring.length === 1) return { calls: [], answers: [] };
  return place === 0 ? { calls: [after], answers: [] } : { calls: [], answers: [before] };
}

/** Where neighbours call. */
interface Door {
  readonly sockets: Sockets;
  readonly port: number;
  readonly server: net.Server;
  /** Who has called so far. */
  readonly callers: ReadonlySet<net.Socket>;
  close(): void;
}

async function openDoor({ bindHost, missing }: LaneOptions): Promise<Door> {
  const sockets = missing === '' ? loadSockets() : { missing };
  if ('missing' in sockets) throw new Error(sockets.missing);
  const callers = new Set<net.Socket>();
  const server = net.createServer((caller) => callers.add(caller.on('error', () => undefined).setNoDelay(true)));
  server.listen({ host: bindHost, port: 0, backlog: BACKLOG });
  await once(server, 'listening');
  const close = () => {
    server.close();
    for (const caller of callers) caller.destroy();
  };
  return { sockets, port: (server.address() as net.AddressInfo).port, server, callers, close };
}

/** Says who is calling, and nothing more until lanes are in use. */
async function call(
  sockets: Sockets,
  place: { readonly host: string; readonly port: number },
  { group, membership }: LaneOptions,
): Promise<Lane> {
  const socket = net.connect({ ...place, noDelay: true });
  try {
    await once(socket, 'connect');
    const hello = encodeHeader(membership, group.rank, HELLO, NOTHING);
    await new Promise<void>((resolve, reject) => socket.write(hello, (error) => (error ? reject(error) : resolve())));
    return laneOf(sockets, socket);
  } finally {
    socket.destroy();
  }
}

/** The connection of `peer`; others are closed and counted. */
function answer({ sockets, server, callers }: Door, peer: number, { group, membership }: LaneOptions): Promise<Lane> {
  return new Promise((resolve, reject) => {
    let isAnswered = false;
    const takeHello = (caller: net.Socket) => {
      const head: Buffer | null = caller.read(HEADER_BYTES);
      if (head === null) return;
      const frame = parseHeader(head, 2, 0, membership);
      const isHello = frame.status === 'ok' && frame.header.operation === 'hello' && isIntact(head, NOTHING);
      if (isHello && frame.sender === peer && !isAnswered) {
        isAnswered = true;
        try {
          resolve(laneOf(sockets, caller));
        } catch (error) {
          reject(error);
        }
      } else group.traffic.foreignFrames += 1;
      caller.destroy();
    };
    const listenTo = (caller: net.Socket) => caller.on('readable', () => takeHello(caller));
    for (const caller of callers) listenTo(caller);
    server.on('connection', listenTo);
  });
}

/** The connection itself outlives Node's socket, which has nothing left to read or to write. */
function laneOf(sockets: Sockets, socket: net.Socket): Lane {
  const file = sockets.duplicate(socket);
  sockets.setSendBuffer(file, SEND_BUFFER);
  return new Lane(sockets, file);
}

async function attempt<T>(act: () => Promise<T>): Promise<{ value?: T; error?: string }> {
  try {
    return { value: await act() };
  } catch (error) {
    return { error: (error as Error).message };
  }
}
