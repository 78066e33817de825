// The wire over ZeroMQ: one PULL socket per rank that all peers push to, one PUSH socket per peer. PUSH keeps the order of its
// frames and queues where other sockets drop; the mesh's window keeps the queues short. No waiting, no collectives.
import { type Logger, SlipError } from '@slip/core';
import { Pull, Push } from 'zeromq';
import { MAX_PAYLOAD_BYTES } from '../mesh.js';
import type { Traffic } from '../process-group.js';
import { type FrameHeader, WINDOW_FRAMES, type Wire, type WireListener } from '../wire.js';
import { encodeHeader, type Membership, parseFrame } from './frame.js';

/** Frames that one connection may queue: a window of data, as many credits, and room for other control frames. */
const QUEUED_FRAMES = 8 * WINDOW_FRAMES;
/** ZeroMQ's own heartbeats run in its I/O thread: a rank that is busy computing still answers, a stopped one does not. */
const HEARTBEAT_MS = 1500;
const SILENCE_MS = 5000;
/** How long the I/O thread may go on sending after `close` has returned. */
const LINGER_MS = 2000;
/** How long `close` waits for frames that ZeroMQ has not taken yet. */
const HAND_OVER_MS = 500;
/** A handshake that failed; the first is also that of a peer that speaks without encryption. */
const REFUSALS = ['handshake:error:protocol', 'handshake:error:auth', 'handshake:error:other'] as const;
/** Below this an allocation is cheaper than a place in the window. */
const SLOT_BYTES_MIN = 4096;

/**
 * The key pair of a run, in Z85 (40 characters each), the same on all ranks and known to nobody else: who does not know the
 * public key cannot even begin a connection, which makes it a secret here.
 */
export interface CurveKeys {
  readonly publicKey: string;
  readonly secretKey: string;
}

export interface ZeroMqWireOptions {
  readonly rank: number;
  readonly host: string;
  readonly bindHost: string;
  /** Encrypts and authenticates all connections; without it frames are readable and can be forged on the way. */
  readonly keys?: CurveKeys;
  readonly traffic: Traffic;
  readonly log: Logger;
}

interface Outgoing {
  readonly socket: Push;
  /** Memory of the frames on their way, used again when the window has gone around. */
  readonly slots: Buffer[];
  nextSlot: number;
  /** Frames that the socket has not yet taken; at most a window and some control frames. */
  readonly queue: [head: Uint8Array, payload: Buffer][];
  isSending: boolean;
  flushed: Promise<void>;
}

export class ZeroMqWire implements Wire {
  /** Where the other ranks reach this one. */
  readonly endpoint: string;
  private readonly options: ZeroMqWireOptions;
  private readonly pull: Pull;
  private readonly outgoing = new Map<number, Outgoing>();
  private membership: Membership | undefined;
  private listener: WireListener | undefined;
  private isClosed = false;

  /** @throws SlipError `rendezvous` when `bindHost` is not an address of this machine */
  static async bind(options: ZeroMqWireOptions): Promise<ZeroMqWire> {
    const pull = new Pull({
      receiveHighWaterMark: QUEUED_FRAMES,
      maxMessageSize: MAX_PAYLOAD_BYTES,
      linger: 0,
      backlog: 1024,
      ipv6: options.bindHost.includes(':'),
      ...(options.keys === undefined ? {} : { curveServer: true, curveSecretKey: options.keys.secretKey }),
    });
    try {
      await pull.bind(`tcp://${bracketed(options.bindHost)}:*`);
    } catch (error) {
      pull.close();
      throw new SlipError(
        'rendezvous',
        `rank ${options.rank} cannot listen on ${options.bindHost}: ${(error as Error).message}; ` +
          'give an address of this machine with --local-addr',
        { cause: error },
      );
    }
    return new ZeroMqWire(options, pull);
  }

  private constructor(options: ZeroMqWireOptions, pull: Pull) {
    this.options = options;
    this.pull = pull;
    for (const event of REFUSALS) pull.events.on(event, () => this.refuse());
    this.endpoint = `tcp://${bracketed(options.host)}:${pull.lastEndpoint!.split(':').at(-1)}`;
  }

  /** Connects to all others and begins to hand their frames to `listener`. */
  join(endpoints: readonly string[], membership: Membership, listener: WireListener): void {
    this.membership = membership;
    this.listener = listener;
    for (const [peer, endpoint] of endpoints.entries()) if (peer !== this.options.rank) this.connectTo(peer, endpoint);
    void this.receiveAll();
  }

  post(to: number, header: FrameHeader, payload: Uint8Array): void {
    const outgoing = this.outgoing.get(to);
    if (outgoing === undefined) return;
    const copy = this.copyFor(outgoing, payload);
    const head = encodeHeader(this.membership!, this.options.rank, header, copy);
    this.options.traffic.bytesSent += head.length + copy.length;
    this.options.traffic.messages += 1;
    outgoing.queue.push([head, copy]);
    if (!outgoing.isSending) outgoing.flushed = this.flush(to, outgoing);
  }

  /** Resolves when what was posted has been handed to ZeroMQ, or soon. */
  async close(forgotten: ReadonlySet<number>): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.pull.close();
    const { foreignFrames } = this.options.traffic;
    if (foreignFrames > 0) this.options.log.warn(`${foreignFrames} frames of strangers were dropped`);
    await Promise.all(
      [...this.outgoing].map(async ([peer, { socket, isSending, flushed }]) => {
        if (isSending && !forgotten.has(peer)) await within(HAND_OVER_MS, flushed);
        socket.linger = forgotten.has(peer) ? 0 : LINGER_MS;
        socket.close();
      }),
    );
  }

  /**
   * One frame after the other, for a socket takes one at a time. ZeroMQ has room for the whole window, so this waits long only
   * where the connection is gone, which is reported as such; a frame that cannot be sent is never lost in silence.
   */
  private async flush(to: number, outgoing: Outgoing): Promise<void> {
    outgoing.isSending = true;
    try {
      for (let frame = outgoing.queue.shift(); frame !== undefined; frame = outgoing.queue.shift()) {
        await outgoing.socket.send(frame);
      }
    } catch (error) {
      if (!this.isClosed) this.listener!.lose(to, `rank ${to} takes no frames: ${(error as Error).message}`);
    } finally {
      outgoing.isSending = false;
    }
  }

  private connectTo(peer: number, endpoint: string): void {
    // A peer's port is never connected to again: another process may hold it by then.
    const socket = new Push({
      sendHighWaterMark: QUEUED_FRAMES,
      linger: 0,
      reconnectInterval: -1,
      heartbeatInterval: HEARTBEAT_MS,
      heartbeatTimeout: SILENCE_MS,
      ipv6: endpoint.includes('['),
      ...clientOptions(this.options.keys),
    });
    this.outgoing.set(peer, {
      socket,
      slots: [],
      nextSlot: 0,
      queue: [],
      isSending: false,
      flushed: Promise.resolve(),
    });
    const lose = (reason: string) => {
      if (!this.isClosed) this.listener!.lose(peer, reason);
    };
    socket.events.on('disconnect', () => {
      const why = 'its process has ended or is stopped, or its host cannot be reached any more';
      lose(`the connection to rank ${peer} (${endpoint}) was lost: ${why}; see its log`);
    });
    socket.events.on('close', () => lose(`rank ${peer} refuses connections at ${endpoint}; has its process ended?`));
    try {
      socket.connect(endpoint);
    } catch (error) {
      throw new SlipError('rendezvous', `rank ${peer} gave no usable address: '${endpoint}'`, {
        cause: error,
        details: { rank: peer },
      });
    }
  }

  /**
   * ZeroMQ may read a buffer long after send has returned, so a frame leaves from memory of the wire's own. One window later
   * the peer has taken it, and its memory serves again.
   */
  private copyFor(outgoing: Outgoing, payload: Uint8Array): Buffer {
    if (payload.length < SLOT_BYTES_MIN) return Buffer.from(payload);
    const slot = outgoing.nextSlot;
    outgoing.nextSlot = (slot + 1) % WINDOW_FRAMES;
    if ((outgoing.slots[slot]?.length ?? 0) < payload.length) {
      outgoing.slots[slot] = Buffer.allocUnsafeSlow(payload.length);
    }
    const copy = outgoing.slots[slot].subarray(0, payload.length);
    copy.set(payload);
    return copy;
  }

  /** Somebody without the keys of this run, or who does not speak this protocol at all. */
  private refuse(): void {
    const { traffic, log } = this.options;
    if (traffic.refusedConnections === 0) log.warn('a connection from outside this run was refused');
    traffic.refusedConnections += 1;
  }

  private async receiveAll(): Promise<void> {
    try {
      for await (const parts of this.pull) this.accept(parts);
    } catch (error) {
      if (!this.isClosed) this.listener!.fail(error as Error);
    }
  }

  private accept(parts: readonly Uint8Array[]): void {
    const { traffic, log } = this.options;
    const frame = parseFrame(parts, this.membership!);
    if (frame.status === 'foreign') {
      if (traffic.foreignFrames === 0) log.warn('a frame that is not of this run and generation was dropped');
      traffic.foreignFrames += 1;
    } else if (frame.status === 'refused') {
      const message = `rank ${frame.sender} sent ${frame.reason}`;
      this.listener!.fail(new SlipError('peer-lost', message, { details: { rank: frame.sender } }));
    } else this.listener!.deliver(frame.sender, frame.header, frame.payload);
  }
}

function clientOptions(keys: CurveKeys | undefined) {
  if (keys === undefined) return {};
  return { curveServerKey: keys.publicKey, curvePublicKey: keys.publicKey, curveSecretKey: keys.secretKey };
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

async function within(timeoutMs: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<void>((resolve) => {
    // Not straight from the timer: in a process that was busy it comes before the work that was ready long ago.
    timer = setTimeout(() => setImmediate(() => setImmediate(resolve)), timeoutMs);
  });
  await Promise.race([work, enough]);
  clearTimeout(timer);
}
