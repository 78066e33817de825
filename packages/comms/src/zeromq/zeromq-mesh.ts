// The mesh over ZeroMQ: one PULL socket per rank that all peers push to, one PUSH socket per peer. PUSH blocks where a queue
// is full instead of dropping, and one connection keeps the order of its frames.
import { type Logger, SlipError, silentLogger, withDeadline } from '@slip/core';
import { Pull, Push } from 'zeromq';
import type { FrameTag, Mesh } from '../mesh.js';
import { MeshGroup } from '../mesh-group.js';
import type { ProcessGroup, Traffic } from '../process-group.js';
import { encodeHeader, type FrameHeader, hashRun, MAX_PAYLOAD_BYTES, type Membership, parseFrame } from './frame.js';
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
  private readonly inboxes: Inbox[];
  private readonly greeted: Promise<void>[] = [];
  private readonly greet: (() => void)[] = [];
  private readonly log: Logger;
  private foreignFrames = 0;
  private failure: Error | undefined;
  private isClosed = false;
  private readonly abort = () => this.giveUp(toError(this.options.signal?.reason));

  constructor(options: ZeroMqGroupOptions) {
    this.options = options;
    this.log = options.log ?? silentLogger;
    this.membership = { runHash: hashRun(options.runId), generation: options.generation };
    this.pull = new Pull({ receiveHighWaterMark: QUEUED_FRAMES, maxMessageSize: MAX_PAYLOAD_BYTES, linger: 0 });
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
    await this.pull.bind(`tcp://${bindHost ?? host}:*`);
    const port = this.pull.lastEndpoint!.split(':').at(-1);
    void this.receiveAll();
    const endpoints = await exchange(`tcp://${host}:${port}`);
    for (const [peer, endpoint] of endpoints.entries()) if (peer !== this.rank) this.connectTo(peer, endpoint);
    for (const peer of this.pushes.keys()) {
      await this.push(
        peer,
        { kind: 'hello', sender: this.rank, sequence: 0, elements: 0, chunk: 0 },
        new Uint8Array(0),
      );
    }
    for (const peer of this.pushes.keys()) await this.awaitHello(peer, endpoints[peer]);
  }

  async send(to: number, tag: FrameTag, payload: Uint8Array): Promise<void> {
    const { operation, ...place } = tag;
    await this.push(to, { kind: operation, sender: this.rank, ...place }, payload);
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
    for (const push of this.pushes.values()) push.close();
    this.pull.close();
    if (this.foreignFrames > 0) this.log.warn(`${this.foreignFrames} frames of strangers were dropped`);
  }

  private connectTo(peer: number, endpoint: string): void {
    // Linger lets the last frames of a finished rank reach the others; a peer's port is never reconnected to, since another
    // process may hold it by then.
    const push = new Push({ sendHighWaterMark: QUEUED_FRAMES, linger: 2000, reconnectInterval: -1 });
    push.events.on('disconnect', () => {
      const lost = new SlipError(
        'peer-lost',
        `the connection to rank ${peer} (${endpoint}) was lost: its process has ended`,
        {
          details: { rank: peer },
        },
      );
      this.inboxes[peer].fail(lost);
    });
    push.connect(endpoint);
    this.pushes.set(peer, push);
  }

  private async awaitHello(peer: number, endpoint: string): Promise<void> {
    const what = `the greeting of rank ${peer} at ${endpoint}; can this host be reached from there (firewall, --local-addr)?`;
    await withDeadline(Promise.race([this.greeted[peer], this.aborted()]), this.options.timeoutMs, what, 'rendezvous');
  }

  private aborted(): Promise<never> {
    const { signal } = this.options;
    return new Promise((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  }

  private async push(to: number, header: FrameHeader, payload: Uint8Array): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    // ZeroMQ may read a buffer after send has returned, so it gets a copy.
    const copy = Buffer.from(payload);
    const head = encodeHeader(this.membership, header, copy);
    this.traffic.bytesSent += head.length + copy.length;
    this.traffic.messages += 1;
    const sent = (this.sending.get(to) ?? Promise.resolve()).then(() =>
      withDeadline(this.pushes.get(to)!.send([head, copy]), this.options.timeoutMs, `rank ${to} to take frames`),
    );
    this.sending.set(to, sent);
    await sent;
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
      this.giveUp(new SlipError('peer-lost', `a frame of rank ${frame.sender} is damaged: ${frame.reason}`));
      return;
    }
    const { kind, sender, sequence, elements, chunk } = frame.header;
    if (kind === 'hello') this.greet[sender]();
    else if (kind === 'failed') this.giveUp(new SlipError('peer-lost', Buffer.from(frame.payload).toString('utf8')));
    else this.inboxes[sender].deliver({ operation: kind, sequence, elements, chunk }, frame.payload);
  }

  /** Everybody waiting here ends with this error. */
  private giveUp(error: Error): void {
    this.failure ??= error;
    for (const inbox of this.inboxes) inbox.fail(error);
  }

  /** The others learn the reason at once instead of waiting for this rank. */
  private async tellOthers(error: Error): Promise<void> {
    if (this.failure !== undefined || this.isClosed) return;
    const reason = Buffer.from(error.message).subarray(0, 1000);
    const header: FrameHeader = { kind: 'failed', sender: this.rank, sequence: 0, elements: 0, chunk: 0 };
    const told = [...this.pushes.keys()].map((peer) => this.push(peer, header, reason).catch(() => undefined));
    await Promise.race([Promise.all(told), new Promise((resolve) => setTimeout(resolve, 500).unref())]);
    this.giveUp(error);
  }
}

function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new SlipError('peer-lost', String(thrown));
}
