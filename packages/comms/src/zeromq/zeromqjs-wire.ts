// The wire over zeromq.js: one PULL socket per rank that all peers push to, one PUSH socket per peer. PUSH keeps the order of its
// frames and queues where other sockets drop; the mesh's window keeps the queues short. No waiting, no collectives.
import { Pull, Push } from 'zeromq';
import { encodeHeader, type Membership } from '../frames/frame.js';
import { Inbox } from '../frames/inbox.js';
import { heldPayload } from '../held-payload.js';
import { MAX_PAYLOAD_BYTES } from '../mesh.js';
import { type FrameHeader, type Outgoing, WINDOW_FRAMES, type Wire, type WireListener } from '../wire.js';
import {
  BACKLOG,
  bracketed,
  type CurveKeys,
  cannotListen,
  connectionLost,
  connectionRefused,
  countRefusal,
  endpointOf,
  HAND_OVER_MS,
  HEARTBEAT_MS,
  LINGER_MS,
  LONGEST_PART,
  noUsableAddress,
  QUEUED_FRAMES,
  SILENCE_MS,
  type ZeroMqWireOptions,
} from './wire-options.js';

/** A handshake that failed; the first is also that of a peer that speaks without encryption. */
const REFUSALS = ['handshake:error:protocol', 'handshake:error:auth', 'handshake:error:other'] as const;
/** Below this an allocation is cheaper than a place in the window. */
const SLOT_BYTES_MIN = 4096;

const EMPTY: Uint8Array = new Uint8Array(0);

interface Connection {
  readonly socket: Push;
  /** Memory of the frames on their way, used again when the window has gone around. */
  readonly slots: Buffer[];
  nextSlot: number;
  /** Frames that the socket has not yet taken; at most a window and some control frames. */
  readonly queue: [head: Uint8Array, payload: Buffer][];
  isSending: boolean;
  flushed: Promise<void>;
}

export class ZeroMqJsWire implements Wire {
  /** Where the other ranks reach this one. */
  readonly endpoint: string;
  readonly chunkBytes = MAX_PAYLOAD_BYTES;
  private readonly options: ZeroMqWireOptions;
  private readonly pull: Pull;
  private readonly outgoing = new Map<number, Connection>();
  private membership: Membership | undefined;
  private listener: WireListener | undefined;
  private isClosed = false;

  /** @throws SlipError `rendezvous` when `bindHost` is not an address of this machine */
  static async bind(options: ZeroMqWireOptions): Promise<ZeroMqJsWire> {
    const pull = new Pull({
      receiveHighWaterMark: QUEUED_FRAMES,
      maxMessageSize: LONGEST_PART,
      linger: 0,
      backlog: BACKLOG,
      ipv6: options.bindHost.includes(':'),
      ...(options.keys === undefined ? {} : { curveServer: true, curveSecretKey: options.keys.secretKey }),
    });
    try {
      await pull.bind(`tcp://${bracketed(options.bindHost)}:*`);
    } catch (error) {
      pull.close();
      throw cannotListen(options, (error as Error).message, error);
    }
    return new ZeroMqJsWire(options, pull);
  }

  private constructor(options: ZeroMqWireOptions, pull: Pull) {
    this.options = options;
    this.pull = pull;
    for (const event of REFUSALS) pull.events.on(event, () => countRefusal(options));
    this.endpoint = endpointOf(options.host, pull.lastEndpoint!);
  }

  /** Connects to all others and begins to hand their frames to `listener`. */
  join(endpoints: readonly string[], membership: Membership, listener: WireListener): void {
    this.membership = membership;
    this.listener = listener;
    for (const [peer, endpoint] of endpoints.entries()) if (peer !== this.options.rank) this.connectTo(peer, endpoint);
    void this.receiveAll(new Inbox(membership, listener, this.options));
  }

  post(to: number, header: FrameHeader, { bytes, digest }: Outgoing): void {
    const outgoing = this.outgoing.get(to);
    if (outgoing === undefined) return;
    const copy = this.copyFor(outgoing, bytes());
    const head = encodeHeader(this.membership!, this.options.rank, header, copy, digest);
    this.options.traffic.bytesSent += head.length + copy.length;
    this.options.traffic.messages += 1;
    outgoing.queue.push([head, copy]);
    if (!outgoing.isSending) outgoing.flushed = this.flush(to, outgoing);
  }

  /** Sockets of zeromq.js tell by themselves. */
  setWaiting(): void {}

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
  private async flush(to: number, outgoing: Connection): Promise<void> {
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
      lose(connectionLost(peer, endpoint));
    });
    socket.events.on('close', () => lose(connectionRefused(peer, endpoint)));
    try {
      socket.connect(endpoint);
    } catch (error) {
      throw noUsableAddress(peer, endpoint, error);
    }
  }

  /**
   * ZeroMQ may read a buffer long after send has returned, so a frame leaves from memory of the wire's own. One window later
   * the peer has taken it, and its memory serves again.
   */
  private copyFor(outgoing: Connection, payload: Uint8Array): Buffer {
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

  private async receiveAll(inbox: Inbox): Promise<void> {
    try {
      for await (const [head, payload = EMPTY, ...more] of this.pull) {
        inbox.take(head, payload === EMPTY ? 1 : 2 + more.length, heldPayload(payload));
      }
    } catch (error) {
      if (!this.isClosed) this.listener!.fail(error as Error);
    }
  }
}

function clientOptions(keys: CurveKeys | undefined) {
  if (keys === undefined) return {};
  return { curveServerKey: keys.publicKey, curvePublicKey: keys.publicKey, curveSecretKey: keys.secretKey };
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
