// A mesh over any wire: ordered frames with bounded queues, deadlines, and failures that all ranks learn at once. It neither
// opens sockets nor adds numbers.
import { SlipError } from '@slip/core';
import { decodeFailure, encodeFailure } from './failure.js';
import { Link } from './link.js';
import { describeTag, type FrameTag, type Landing, type Mesh, sameTag } from './mesh.js';
import type { Traffic } from './process-group.js';
import { bytesOf } from './vector/kernels.js';
import { followWaits, type WaitErrors, Waits } from './waits.js';
import {
  type Control,
  type FrameHeader,
  isControl,
  NOBODY,
  type Outgoing,
  type Payload,
  type Wire,
  type WireListener,
} from './wire.js';

export interface FrameMeshOptions {
  readonly rank: number;
  readonly worldSize: number;
  /** Deadline of every wait. */
  readonly timeoutMs: number;
  readonly wire: Wire;
  /** Waiting time is counted here; frames are counted by the wire. */
  readonly traffic: Traffic;
}

/** How long no frame must have come from a peer whose link has ended. */
const FAREWELL_MS = 300;
const NOTHING = new Uint8Array(0);

export class FrameMesh implements Mesh, WireListener {
  readonly rank: number;
  readonly worldSize: number;
  readonly traffic: Traffic;
  /** The first failure; the mesh is of no use after it. */
  failure: Error | undefined;
  private readonly timeoutMs: number;
  private readonly wire: Wire;
  private readonly waits: Waits;
  private readonly links: readonly Link[];
  /** For each rank that has said so, the rank it is stuck waiting for. */
  private readonly stuckOn = new Map<number, number>();
  private hasMet = false;
  private isClosed = false;

  constructor({ rank, worldSize, timeoutMs, wire, traffic }: FrameMeshOptions) {
    this.rank = rank;
    this.worldSize = worldSize;
    this.traffic = traffic;
    this.timeoutMs = timeoutMs;
    this.wire = wire;
    this.links = Array.from({ length: worldSize }, (_, to) => {
      return new Link(({ tag, payload }) => this.wire.post(to, tag, payload));
    });
    this.waits = new Waits({
      timeoutMs,
      onStuck: (peer) => this.tellAll('waiting', { root: peer }),
      onFreed: () => this.tellAll('waiting', { root: NOBODY }),
      onWaiting: (isWaiting) => this.wire.setWaiting(isWaiting),
    });
  }

  /**
   * Proves that every rank reaches every other, both ways, before the first collective.
   * @throws SlipError `rendezvous` naming the rank that does not answer
   */
  async meet(endpoints: readonly string[]): Promise<void> {
    const unheard = (peer: number): WaitErrors => ({
      late: () => this.unheardError(peer, endpoints),
      left: () => lost(peer, `rank ${peer} has left before all ranks had met; its log says why`),
    });
    // The world's size goes along, for it is the one number that the ranks may disagree about here.
    this.tellAll('hello', { elements: this.worldSize });
    for (const peer of this.others()) await this.waitFor(peer, () => this.links[peer].hasGreeted, unheard(peer));
    this.tellAll('ready', {});
    for (const peer of this.others()) await this.waitFor(peer, () => this.links[peer].isReady, unheard(peer));
    this.hasMet = true;
  }

  async send(to: number, tag: FrameTag, payload: Outgoing): Promise<void> {
    this.throwIfFailed();
    if (this.links[to].hasLeft) throw this.leftError(to, tag);
    const letter = this.links[to].send(tag, payload);
    if (!letter.isSent) await this.waitFor(to, () => letter.isSent, this.errorsOf(to, tag));
  }

  async receive(from: number, tag: FrameTag): Promise<Payload> {
    const link = this.links[from];
    if (!link.hasArrivals) await this.waitFor(from, () => link.hasArrivals, this.errorsOf(from, tag));
    this.throwIfFailed();
    const { arrival, credit } = link.take();
    if (!sameTag(arrival.tag, tag)) {
      // A header that was damaged on the way tells nothing of its sender.
      bytesOf(arrival.payload);
      throw lost(
        from,
        `ranks disagree: rank ${from} is at ${describeTag(arrival.tag)}, rank ${this.rank} at ${describeTag(tag)}; ` +
          'do all nodes run the same version with the same configuration and data?',
      );
    }
    if (credit > 0) this.tell(from, 'credit', { elements: credit });
    return arrival.payload;
  }

  get chunkBytes(): number {
    return this.wire.chunkBytes;
  }

  land(from: number, landing: Landing | undefined): void {
    this.wire.land?.(from, landing);
  }

  acknowledge(from: number): void {
    const credit = this.links[from].settle();
    if (credit > 0) this.tell(from, 'credit', { elements: credit });
  }

  async delivered(to: number, tag: FrameTag): Promise<void> {
    await this.waitFor(to, () => this.links[to].isDelivered, this.errorsOf(to, tag));
  }

  /** Whether this rank has closed its group. */
  hasLeft(rank: number): boolean {
    return this.links[rank].hasLeft;
  }

  deliver(from: number, header: FrameHeader, payload: Payload): void {
    const link = this.links[from];
    if (this.failure !== undefined || link.hasLeft) {
      payload.release();
      return;
    }
    link.arrived += 1;
    const { operation } = header;
    if (isControl(operation)) {
      this.obey(from, operation, header, payload);
      payload.release();
    } else if (!link.arrive({ tag: { ...header, operation }, payload }))
      this.fail(lost(from, `rank ${from} has sent more than it may`));
    this.waits.recheck(from);
    if (link.hasLeft) this.waits.leave(from);
  }

  lose(peer: number, reason: string): void {
    const link = this.links[peer];
    if (this.failure !== undefined || link.hasLeft || link.isLost) return;
    link.isLost = true;
    const code = this.hasMet ? 'peer-lost' : 'rendezvous';
    this.declareLost(link, new SlipError(code, reason, { details: { rank: peer } }));
  }

  /** Once no frame has come for a while: those that the peer sent before its end may still be here, its farewell among them. */
  private declareLost(link: Link, error: SlipError): void {
    const before = link.arrived;
    const decide = () => {
      if (this.failure !== undefined || link.hasLeft) return;
      if (link.arrived > before) this.declareLost(link, error);
      else this.fail(error);
    };
    // Two turns of the event loop after the timer, so that a process that was busy has read what was there.
    setTimeout(() => setImmediate(() => setImmediate(decide)), FAREWELL_MS);
  }

  /** Ends all waits with this error, and tells the others why this rank will not answer them any more. */
  fail(error: Error): void {
    if (this.failure !== undefined) return;
    this.end(error);
    this.tellAll('failed', {}, encodeFailure(error, this.rank));
  }

  /** Ends all waits with this error, and tells the others that this rank has nothing more to say. */
  async close(error: Error): Promise<void> {
    if (this.isClosed) return;
    if (this.failure === undefined) {
      this.end(error);
      for (const peer of this.others()) this.tell(peer, 'left', { elements: this.links[peer].sentFrames });
    }
    this.isClosed = true;
    await this.wire.close(new Set(this.others().filter((peer) => this.links[peer].isLost)));
  }

  private end(error: Error): void {
    this.failure = error;
    // Memory is only borrowed until the call settles.
    for (const peer of this.others()) this.land(peer, undefined);
    for (const link of this.links) link.drop();
    this.waits.fail(error);
  }

  private obey(from: number, control: Control, { elements, root }: FrameHeader, payload: Payload): void {
    const link = this.links[from];
    switch (control) {
      case 'hello':
        link.hasGreeted = true;
        if (elements !== this.worldSize) this.fail(otherWorld(from, elements, this.rank, this.worldSize));
        break;
      case 'ready':
        link.isReady = true;
        break;
      case 'credit':
        link.credit(elements);
        break;
      case 'waiting':
        if (root < this.worldSize) this.stuckOn.set(from, root);
        else this.stuckOn.delete(from);
        break;
      case 'failed':
        this.end(reasonIn(payload, from));
        break;
      case 'left':
        link.leave(elements);
        break;
      default:
        control satisfies never;
    }
  }

  private async waitFor(peer: number, isOver: () => boolean, errors: WaitErrors): Promise<void> {
    this.throwIfFailed();
    if (isOver()) return;
    if (this.links[peer].hasLeft) throw errors.left();
    const startedAt = performance.now();
    try {
      await this.waits.until(peer, isOver, errors);
    } finally {
      this.traffic.waitMs += performance.now() - startedAt;
    }
  }

  private errorsOf(peer: number, tag: FrameTag): WaitErrors {
    return { late: () => this.lateError(peer, tag), left: () => this.leftError(peer, tag) };
  }

  private lateError(peer: number, tag: FrameTag): Error {
    const chain = followWaits(this.rank, peer, this.stuckOn);
    const culprit = chain.at(-1)!;
    const waits = chain.map((rank, i) => `rank ${i === 0 ? this.rank : chain[i - 1]} for rank ${rank}`);
    return lost(
      culprit,
      `rank ${culprit} is late: rank ${this.rank} waited ${this.timeoutMs / 1000} s in ${describeTag(tag)} ` +
        `(${waits.join(', ')}); see its log, or raise --comm-timeout if it is only slow`,
    );
  }

  private unheardError(peer: number, endpoints: readonly string[]): Error {
    const chain = followWaits(this.rank, peer, this.stuckOn);
    const culprit = chain.at(-1)!;
    const waiter = chain.length > 1 ? chain.at(-2) : this.rank;
    const { foreignFrames } = this.traffic;
    const strangers = foreignFrames > 0 ? ` (${foreignFrames} frames of other runs or restarts were dropped)` : '';
    return new SlipError(
      'rendezvous',
      `rank ${culprit} at ${endpoints[culprit]} has not greeted rank ${waiter} within ${this.timeoutMs / 1000} s` +
        `${strangers}; is it running, and can each reach the other (firewall, --local-addr)?`,
      { details: { rank: culprit } },
    );
  }

  private leftError(peer: number, tag: FrameTag): Error {
    const place = `rank ${this.rank} waits for it in ${describeTag(tag)}`;
    return lost(peer, `rank ${peer} has left while ${place}; its log says why`);
  }

  private tellAll(operation: Control, fields: Partial<FrameHeader>, payload?: Uint8Array): void {
    for (const peer of this.others()) this.tell(peer, operation, fields, payload);
  }

  private tell(to: number, operation: Control, fields: Partial<FrameHeader>, payload: Uint8Array = NOTHING): void {
    const { hasLeft, isLost } = this.links[to];
    if (this.isClosed || hasLeft || isLost) return;
    const header = { operation, sequence: 0, dtype: 'uint8', elements: 0, root: NOBODY, chunk: 0, ...fields } as const;
    this.wire.post(to, header, { bytes: () => payload, isLent: false });
  }

  private others(): number[] {
    return Array.from({ length: this.worldSize }, (_, rank) => rank).filter((rank) => rank !== this.rank);
  }

  private throwIfFailed(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}

/** That a rank has failed counts, even when its reason was damaged on the way. */
function reasonIn(payload: Payload, from: number): Error {
  try {
    return decodeFailure(bytesOf(payload), from);
  } catch (error) {
    return error as Error;
  }
}

function lost(rank: number, message: string): SlipError {
  return new SlipError('peer-lost', message, { details: { rank } });
}

function otherWorld(from: number, theirs: number, rank: number, ours: number): SlipError {
  return new SlipError(
    'rendezvous',
    `ranks disagree: rank ${from} was started for ${theirs} ranks, rank ${rank} for ${ours}; start all nodes alike`,
    { details: { rank: from } },
  );
}
