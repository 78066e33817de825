// The mesh over ZeroMQ: one PULL socket per rank that all peers push to, one PUSH socket per peer. PUSH blocks where a queue
// is full instead of dropping, and one connection keeps the order of its frames.
import { type Logger, SlipError, silentLogger, withDeadline } from '@slip/core';
import { Pull, Push } from 'zeromq';
import { describeTag } from '../frame-tag.js';
import type { FrameTag, Mesh } from '../mesh.js';
import { MAX_OBJECT_BYTES, MeshGroup } from '../mesh-group.js';
import type { ProcessGroup, Traffic } from '../process-group.js';
import { encodeHeader, type FrameHeader, hashRun, type Membership, parseFrame } from './frame.js';
import { Inbox } from './inbox.js';

export interface ZeroMqGroupOptions {
  readonly rank: number;
  readonly worldSize: number;
  readonly runId: string;
  /** Restarts so far; frames of other generations are dropped. */
  readonly generation: number;
  /** Address at which the other ranks reach this one. */
  readonly host: string;
  /** Interface to listen on; `host` without it. */
  readonly bindHost?: string;
  /** Deadline of every wait. */
  readonly timeoutMs: number;
  /** Gives our endpoint to the others and returns all endpoints in rank order. */
  readonly exchange: (endpoint: string) => Promise<string[]>;
  /** Ends all waits with its reason. */
  readonly signal?: AbortSignal;
  readonly log?: Logger;
}

/** After a connection has closed, its last frames may still be on their way: how long none must come to call a peer lost. */
const DRAIN_MS = 1000;
/**
 * Notices a host that has vanished while a connection is idle. The kernel answers, so a rank that computes for minutes and
 * reads nothing is alive; heartbeats of ZeroMQ would wait behind its full queue.
 */
const KEEPALIVE = { tcpKeepalive: 1, tcpKeepaliveIdle: 5, tcpKeepaliveInterval: 2, tcpKeepaliveCount: 5 } as const;

/** Frames that may wait in a queue towards one peer before a send waits. */
const QUEUED_FRAMES = 256;

/**
 * Joins the group. Before it returns, every peer has proved that it can be reached.
 * @throws SlipError `rendezvous` naming the rank that cannot be reached, `peer-lost` afterwards
 */
export async function connectZeroMqGroup(options: ZeroMqGroupOptions): Promise<ProcessGroup> {
  const mesh = new ZeroMqMesh(options);
  try {
    await mesh.connect();
  } catch (error) {
    await mesh.close();
    throw error;
  }
  return new MeshGroup(mesh, mesh.traffic);
}

class ZeroMqMesh implements Mesh {
  readonly traffic: Traffic = { bytesSent: 0, messages: 0, waitMs: 0 };
  private readonly options: ZeroMqGroupOptions;
  private readonly membership: Membership;
  private readonly pull: Pull;
  private readonly pushes = new Map<number, Push>();
  /** The last send to each peer: a socket takes one at a time. */
  private readonly sending = new Map<number, Promise<void>>();
  /** Ends the sends to a peer that are under way. */
  private readonly stopSending = new Map<number, Set<(error: Error) => void>>();
  /** Why a peer can no longer be sent to. */
  private readonly lost = new Map<number, Error>();
  private readonly inboxes: Inbox[];
  private readonly greeted: Promise<void>[] = [];
  private readonly greet: (() => void)[] = [];
  private readonly log: Logger;
  private readonly timers = new Set<NodeJS.Timeout>();
  private foreignFrames = 0;
  private failure: Error | undefined;
  private isClosed = false;
  private readonly abort = () => this.giveUp(toError(this.options.signal?.reason));

  constructor(options: ZeroMqGroupOptions) {
    this.options = options;
    this.log = options.log ?? silentLogger;
    this.membership = { runHash: hashRun(options.runId), generation: options.generation };
    this.pull = new Pull({
      receiveHighWaterMark: QUEUED_FRAMES,
      maxMessageSize: MAX_OBJECT_BYTES,
      linger: 0,
      ...KEEPALIVE,
    });
    this.inboxes = Array.from({ length: options.worldSize }, () => new Inbox());
    for (let rank = 0; rank < options.worldSize; rank++) {
      this.greeted.push(
        new Promise((resolve) => {
          this.greet.push(resolve);
        }),
      );
    }
  }

  get rank(): number {
    return this.options.rank;
  }

  get worldSize(): number {
    return this.options.worldSize;
  }

  async connect(): Promise<void> {
    const { signal, host, bindHost, exchange } = this.options;
    signal?.throwIfAborted();
    signal?.addEventListener('abort', this.abort);
    await this.listen(bindHost ?? host);
    const port = this.pull.lastEndpoint!.split(':').at(-1);
    void this.receiveAll();
    const endpoints = await this.inTime(exchange(`tcp://${host}:${port}`), 'the addresses of the other ranks');
    if (endpoints.length !== this.worldSize) {
      throw new SlipError('rendezvous', `${endpoints.length} addresses came for a world of ${this.worldSize} ranks`);
    }
    for (const [peer, endpoint] of endpoints.entries()) if (peer !== this.rank) this.connectTo(peer, endpoint);
    const peers = [...this.pushes.keys()];
    await Promise.all(peers.map((peer) => this.push(peer, this.plainHeader('hello'), new Uint8Array(0))));
    await Promise.all(peers.map((peer) => this.awaitHello(peer, endpoints[peer])));
  }

  async send(to: number, tag: FrameTag, payload: Uint8Array): Promise<void> {
    const { operation, ...place } = tag;
    try {
      await this.push(to, { kind: operation, sender: this.rank, ...place }, payload, ` in ${describeTag(tag)}`);
    } catch (error) {
      await this.tellOthers(toError(error));
      throw error;
    }
  }

  async receive(from: number, tag: FrameTag): Promise<Uint8Array> {
    const startedAt = performance.now();
    try {
      return await this.inboxes[from].take(tag, { from, rank: this.rank }, this.options.timeoutMs);
    } catch (error) {
      await this.tellOthers(toError(error));
      throw error;
    } finally {
      this.traffic.waitMs += performance.now() - startedAt;
    }
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.options.signal?.removeEventListener('abort', this.abort);
    for (const timer of this.timers) clearTimeout(timer);
    this.giveUp(new SlipError('internal', 'the process group is closed'));
    for (const push of this.pushes.values()) push.close();
    this.pull.close();
    if (this.foreignFrames > 0) this.log.warn(`${this.foreignFrames} frames of strangers were dropped`);
  }

  private connectTo(peer: number, endpoint: string): void {
    // Linger lets the last frames of a finished rank reach the others; a peer's port is never reconnected to, since another
    // process may hold it by then.
    const push = new Push({ sendHighWaterMark: QUEUED_FRAMES, linger: 2000, reconnectInterval: -1, ...KEEPALIVE });
    push.events.on('disconnect', () => {
      const lost = new SlipError(
        'peer-lost',
        `the connection to rank ${peer} (${endpoint}) was lost: its process has ended`,
        {
          details: { rank: peer },
        },
      );
      if (!this.isClosed) this.lose(peer, lost);
    });
    push.connect(endpoint);
    this.pushes.set(peer, push);
  }

  private async awaitHello(peer: number, endpoint: string): Promise<void> {
    const what = `the greeting of rank ${peer} at ${endpoint}; can this host be reached from there (firewall, --local-addr)?`;
    await this.inTime(this.greeted[peer], what);
  }

  /** Waits before the first collective: they end with the deadline or the signal. */
  private async inTime<T>(wait: Promise<T>, what: string): Promise<T> {
    const { signal, timeoutMs } = this.options;
    signal?.throwIfAborted();
    let abort = () => {};
    const aborted = new Promise<never>((_, reject) => {
      abort = () => reject(signal?.reason);
    });
    signal?.addEventListener('abort', abort);
    try {
      return await withDeadline(Promise.race([wait, aborted]), timeoutMs, what, 'rendezvous');
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  private async listen(address: string): Promise<void> {
    try {
      await this.pull.bind(`tcp://${address}:*`);
    } catch (error) {
      throw new SlipError(
        'rendezvous',
        `rank ${this.rank} cannot listen on ${address}: ${toError(error).message}; it must be an address of this host`,
        { cause: error },
      );
    }
  }

  private plainHeader(kind: 'hello' | 'failed'): FrameHeader {
    return { kind, sender: this.rank, sequence: 0, elements: 0, chunk: 0, dtype: 'uint8' };
  }

  private async push(to: number, header: FrameHeader, payload: Uint8Array, within = ''): Promise<void> {
    const failure = this.failure ?? this.lost.get(to);
    if (failure !== undefined) throw failure;
    // ZeroMQ may read a buffer after send has returned, so it gets a copy.
    const copy = Buffer.from(payload);
    const head = encodeHeader(this.membership, header, copy);
    this.traffic.bytesSent += head.length + copy.length;
    this.traffic.messages += 1;
    const sent = (this.sending.get(to) ?? Promise.resolve()).then(() =>
      this.untilSent(to, this.pushes.get(to)!.send([head, copy]), `rank ${to} to take frames${within}`),
    );
    this.sending.set(to, sent);
    await sent;
  }

  private async untilSent(to: number, sending: Promise<void>, what: string): Promise<void> {
    const stops = this.stopSending.get(to) ?? new Set();
    this.stopSending.set(to, stops);
    // A stop of its own for each send: a race against one promise of the mesh would keep every frame's reaction.
    let stop = (_: Error) => {};
    const stopped = new Promise<never>((_, reject) => {
      stop = reject;
    });
    stops.add(stop);
    try {
      await withDeadline(Promise.race([sending, stopped]), this.options.timeoutMs, what);
    } finally {
      stops.delete(stop);
    }
  }

  /** Nothing can be sent to this peer from now on; what it has sent before is still taken. */
  private lose(peer: number, error: SlipError): void {
    this.lost.set(peer, error);
    for (const stop of this.stopSending.get(peer) ?? []) stop(error);
    const inbox = this.inboxes[peer];
    const waitForLastFrames = () => {
      const before = inbox.delivered;
      const timer = setTimeout(() => {
        this.timers.delete(timer);
        if (inbox.delivered > before) waitForLastFrames();
        else inbox.fail(error);
      }, DRAIN_MS);
      this.timers.add(timer);
    };
    waitForLastFrames();
  }

  private async receiveAll(): Promise<void> {
    try {
      for await (const parts of this.pull) this.deliver(parts);
    } catch (error) {
      if (!this.isClosed) this.giveUp(toError(error));
    }
  }

  private deliver(parts: readonly Uint8Array[]): void {
    const frame = parseFrame(parts, this.membership, this.worldSize);
    if (frame.status === 'foreign') {
      this.foreignFrames += 1;
      return;
    }
    if (frame.status === 'damaged') {
      const message = `a frame of rank ${frame.sender} is damaged: ${frame.reason}`;
      void this.tellOthers(new SlipError('peer-lost', message, { details: { rank: frame.sender } }));
      return;
    }
    const { kind, sender, ...place } = frame.header;
    if (kind === 'hello') this.greet[sender]();
    else if (kind === 'failed') this.giveUp(new SlipError('peer-lost', Buffer.from(frame.payload).toString('utf8')));
    else this.inboxes[sender].deliver({ operation: kind, ...place }, frame.payload);
  }

  /** Everybody waiting here ends with this error. */
  private giveUp(error: Error): void {
    this.failure ??= error;
    for (const inbox of this.inboxes) inbox.fail(error);
    for (const stops of this.stopSending.values()) for (const stop of stops) stop(error);
  }

  /** The others learn the reason at once instead of waiting for this rank. */
  private async tellOthers(error: Error): Promise<void> {
    if (this.failure !== undefined || this.isClosed) return;
    const reason = Buffer.from(error.message).subarray(0, 1000);
    const header = this.plainHeader('failed');
    const told = [...this.pushes.keys()].map((peer) => this.push(peer, header, reason).catch(() => undefined));
    await Promise.race([Promise.all(told), new Promise((resolve) => setTimeout(resolve, 500).unref())]);
    this.giveUp(error);
  }
}

function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new SlipError('peer-lost', String(thrown));
}
