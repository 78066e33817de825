// The wire over libzmq itself, called through its C interface: frames leave from where they lie and are read where libzmq has
// received them, so that nothing is copied and JavaScript's collector has nothing to collect. Sockets and frames are those of
// the wire over zeromq.js, with which ranks may be mixed. To peers with a lane, frames of collectives go through that instead.
import { SlipError } from '@slip/core';
import { encodeHeader, HEADER_BYTES, type Membership, parseHeader } from '../frames/frame.js';
import { Inbox, type RawPayload } from '../frames/inbox.js';
import { type FrameTag, type Landing, MAX_LANE_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES } from '../mesh.js';
import type { Lane } from '../tcp/lane.js';
import { type FrameHeader, isControl, type Outgoing, WINDOW_FRAMES, type Wire, type WireListener } from '../wire.js';
import type { LibZmq, Message, Pointer } from './libzmq.js';
import { CONNECTION_ENDED, HANDSHAKE_FAILED, Monitor, NEVER_CONNECTED } from './monitor.js';
import {
  BACKLOG,
  bracketed,
  cannotListen,
  connectionLost,
  connectionRefused,
  countRefusal,
  endpointOf,
  HAND_OVER_MS,
  HEARTBEAT_MS,
  LINGER_MS,
  LONGEST_PART,
  laneLost,
  noUsableAddress,
  QUEUED_FRAMES,
  SILENCE_MS,
  type ZeroMqWireOptions,
} from './wire-options.js';

/** One sends while the other receives: both directions are copies into and out of the kernel. */
const IO_THREADS = 2;
/** Of the system's own for each connection. Small enough to stay in the cache, large enough for 1 GB/s over 1 ms. */
const [SEND_BUFFER, RECEIVE_BUFFER] = [512 << 10, 1 << 20];
/** From here on a payload that is lent is not copied. */
const LENT_BYTES = 64 << 10;
/** Longest sleep in one go while frames are waited for: the event loop of this thread stands still meanwhile. */
const SLEEP_MS = 2;
/** How often the wire looks for frames that nobody waits for, such as that of a failure, and for lost connections. */
const LOOK_MS = 20;
/** Messages handed over in one go. */
const MOST_AT_ONCE = 4 * WINDOW_FRAMES;
const NOTHING: RawPayload = { length: 0, read() {}, release() {} };

/** Wires of this thread that are open: where there is more than one, none may sleep while another has something to do. */
let openWires = 0;

interface Connection {
  readonly endpoint: string;
  readonly socket: Pointer;
  readonly monitor: Monitor;
  /** The last payloads that were lent, one for each place of the window: libzmq may still read them. */
  readonly lent: Uint8Array[];
  nextLent: number;
  /** What the socket has not taken; nothing, unless its connection is gone. */
  readonly queue: (readonly [head: Uint8Array, payload: Uint8Array, isLent: boolean])[];
}

export class LibZmqWire implements Wire {
  /** Where the other ranks reach this one. */
  readonly endpoint: string;
  private readonly zmq: LibZmq;
  private readonly options: ZeroMqWireOptions;
  private readonly context: Pointer;
  private readonly pull: Pointer;
  private readonly pullMonitor: Monitor;
  private readonly connections = new Map<number, Connection>();
  private readonly lanes = new Map<number, Lane>();
  private readonly landings = new Map<number, Landing>();
  private readonly head = Buffer.alloc(2 * HEADER_BYTES);
  private readonly timer: NodeJS.Timeout;
  private membership: Membership | undefined;
  private listener: WireListener | undefined;
  private inbox: Inbox | undefined;
  private isWaiting = false;
  private isLooking = false;
  private isClosed = false;

  /**
   * @param worldSize how many ranks there will be
   * @throws SlipError `rendezvous` when `bindHost` is not an address of this machine
   */
  static bind(zmq: LibZmq, options: ZeroMqWireOptions, worldSize: number): LibZmqWire {
    // For each peer one, and two ends of what watches it; libzmq keeps some for itself.
    const context = zmq.newContext(IO_THREADS, 3 * worldSize + 16);
    const pull = zmq.openSocket(context, 'pull');
    const set = (option: Parameters<LibZmq['setOption']>[1], value: number | string) =>
      zmq.setOption(pull, option, value);
    set('receiveHighWaterMark', QUEUED_FRAMES);
    set('maxMessageSize', LONGEST_PART);
    set('linger', 0);
    set('backlog', BACKLOG);
    set('receiveBuffer', RECEIVE_BUFFER);
    set('ipv6', options.bindHost.includes(':') ? 1 : 0);
    if (options.keys !== undefined) {
      set('curveServer', 1);
      set('curveSecretKey', options.keys.secretKey);
    }
    try {
      zmq.bind(pull, `tcp://${bracketed(options.bindHost)}:*`);
    } catch (error) {
      zmq.close(pull);
      zmq.endContext(context, () => undefined);
      throw cannotListen(options, (error as Error).message, error);
    }
    return new LibZmqWire(zmq, options, context, pull);
  }

  private constructor(zmq: LibZmq, options: ZeroMqWireOptions, context: Pointer, pull: Pointer) {
    this.zmq = zmq;
    this.options = options;
    this.context = context;
    this.pull = pull;
    this.pullMonitor = new Monitor(zmq, context, pull, 'listening', HANDSHAKE_FAILED);
    this.endpoint = endpointOf(options.host, zmq.lastEndpoint(pull));
    this.timer = setInterval(() => this.look(), LOOK_MS).unref();
    openWires += 1;
  }

  /** Connects to all others and begins to hand their frames to `listener`. */
  join(endpoints: readonly string[], membership: Membership, listener: WireListener): void {
    this.membership = membership;
    this.listener = listener;
    this.inbox = new Inbox(membership, listener, this.options);
    for (const [peer, endpoint] of endpoints.entries()) if (peer !== this.options.rank) this.connectTo(peer, endpoint);
  }

  post(to: number, header: FrameHeader, { bytes, digest, isLent }: Outgoing): void {
    const connection = this.connections.get(to);
    if (connection === undefined || this.isClosed) return;
    const payload = bytes();
    const makeHead = () => encodeHeader(this.membership!, this.options.rank, header, payload, digest);
    const { traffic } = this.options;
    traffic.bytesSent += HEADER_BYTES + payload.length;
    traffic.messages += 1;
    const lane = isControl(header.operation) ? undefined : this.lanes.get(to);
    if (lane !== undefined) {
      this.onLane(to, () => lane.post(makeHead, payload, isLent));
      return;
    }
    if (payload.length > MAX_PAYLOAD_BYTES)
      throw new SlipError('internal', `a frame of ${payload.length} bytes for rank ${to} does not go over ZeroMQ`);
    const head = makeHead();
    const lend = isLent && payload.length >= LENT_BYTES;
    if (lend) {
      connection.lent[connection.nextLent] = payload;
      connection.nextLent = (connection.nextLent + 1) % WINDOW_FRAMES;
    }
    if (connection.queue.length === 0 && this.sendNow(to, connection, head, payload, lend)) return;
    connection.queue.push([head, lend ? payload : Uint8Array.from(payload), lend]);
  }

  get chunkBytes(): number {
    return this.lanes.size > 0 ? MAX_LANE_PAYLOAD_BYTES : MAX_PAYLOAD_BYTES;
  }

  /** From now on frames of collectives go to and come from `peer` through this lane. All that came before must have been taken. */
  addLane(peer: number, lane: Lane): void {
    this.lanes.set(peer, lane);
  }

  land(from: number, landing: Landing | undefined): void {
    if (landing !== undefined) this.landings.set(from, landing);
    else if (this.landings.delete(from)) this.lanes.get(from)?.stopLanding();
  }

  setWaiting(isWaiting: boolean): void {
    this.isWaiting = isWaiting;
    if (!isWaiting || this.isLooking) return;
    this.isLooking = true;
    setImmediate(() => this.lookOn(false));
  }

  /** Resolves when what was posted has been handed to libzmq, or soon. */
  async close(forgotten: ReadonlySet<number>): Promise<void> {
    if (this.isClosed) return;
    const { zmq } = this;
    const { foreignFrames } = this.options.traffic;
    if (foreignFrames > 0) this.options.log.warn(`${foreignFrames} frames of strangers were dropped`);
    const isLeft = () =>
      [...this.connections].some(([peer, { queue }]) => queue.length > 0 && !forgotten.has(peer)) ||
      [...this.lanes].some(([peer, { isFull }]) => isFull && !forgotten.has(peer));
    for (const until = performance.now() + HAND_OVER_MS; isLeft() && performance.now() < until; ) {
      await new Promise((resolve) => setTimeout(resolve, SLEEP_MS));
      for (const [peer, connection] of this.connections) this.flush(peer, connection);
      for (const [peer, lane] of this.lanes) this.onLane(peer, () => lane.pump());
    }
    this.isClosed = true;
    for (const lane of this.lanes.values()) lane.close();
    this.lanes.clear();
    openWires -= 1;
    clearInterval(this.timer);
    this.pullMonitor.close();
    zmq.close(this.pull);
    for (const [peer, { socket, monitor }] of this.connections) {
      monitor.close();
      zmq.setOption(socket, 'linger', forgotten.has(peer) ? 0 : LINGER_MS);
      zmq.close(socket);
    }
    // Until libzmq has ended, it may read what was lent.
    const { connections } = this;
    zmq.endContext(this.context, () => connections.clear());
  }

  private connectTo(peer: number, endpoint: string): void {
    const { zmq } = this;
    const socket = zmq.openSocket(this.context, 'push');
    const set = (option: Parameters<LibZmq['setOption']>[1], value: number | string) =>
      zmq.setOption(socket, option, value);
    set('sendHighWaterMark', QUEUED_FRAMES);
    set('linger', 0);
    // A peer's port is never connected to again: another process may hold it by then.
    set('reconnectInterval', -1);
    set('heartbeatInterval', HEARTBEAT_MS);
    set('heartbeatTimeout', SILENCE_MS);
    set('sendBuffer', SEND_BUFFER);
    set('ipv6', endpoint.includes('[') ? 1 : 0);
    const { keys } = this.options;
    if (keys !== undefined) {
      set('curveServerKey', keys.publicKey);
      set('curvePublicKey', keys.publicKey);
      set('curveSecretKey', keys.secretKey);
    }
    const monitor = new Monitor(zmq, this.context, socket, `peer-${peer}`, CONNECTION_ENDED | NEVER_CONNECTED);
    this.connections.set(peer, { endpoint, socket, monitor, lent: [], nextLent: 0, queue: [] });
    try {
      zmq.connect(socket, endpoint);
    } catch (error) {
      throw noUsableAddress(peer, endpoint, error);
    }
  }

  /** @returns false where the socket takes nothing now */
  private sendNow(to: number, { socket }: Connection, head: Uint8Array, payload: Uint8Array, lend: boolean): boolean {
    try {
      if (!this.zmq.send(socket, head, true)) return false;
      // Who takes the first part takes the others.
      if (!(lend ? this.zmq.sendLent(socket, payload) : this.zmq.send(socket, payload, false)))
        throw new SlipError('internal', 'half of a frame was sent');
      return true;
    } catch (error) {
      this.listener!.lose(to, `rank ${to} takes no frames: ${(error as Error).message}`);
      return true;
    }
  }

  /** libzmq has room for the whole window, so something is left only where the connection is gone, which is reported as such. */
  private flush(to: number, connection: Connection): void {
    while (connection.queue.length > 0 && this.sendNow(to, connection, ...connection.queue[0]))
      connection.queue.shift();
  }

  /** A lane that has ended is given up. */
  private onLane<T>(peer: number, act: () => T): T | undefined {
    try {
      return act();
    } catch (error) {
      this.lanes.get(peer)?.close();
      this.listener!.lose(peer, laneLost(peer, this.connections.get(peer)!.endpoint, error as Error));
      return undefined;
    }
  }

  private look(): void {
    for (let failures = this.pullMonitor.read(); failures.length > 0; failures = this.pullMonitor.read())
      for (const _ of failures) countRefusal(this.options);
    // What a peer sent before its end comes first.
    this.receive();
    for (const [peer, connection] of this.connections) {
      this.flush(peer, connection);
      const { endpoint, monitor } = connection;
      for (const event of monitor.read()) {
        const reason = event === NEVER_CONNECTED ? connectionRefused : connectionLost;
        this.listener!.lose(peer, reason(peer, endpoint));
      }
    }
  }

  /**
   * Turns of the event loop while somebody waits. The first one does not sleep where another rank may have its turn in this thread.
   * @param maySleep nothing came at the last turn
   */
  private lookOn(maySleep: boolean): void {
    if (this.isClosed || !this.isWaiting) {
      this.isLooking = false;
      return;
    }
    let came = this.receive();
    if (!came && (maySleep || openWires === 1)) {
      this.zmq.waitForInput(this.pull, [...this.lanes.values()], SLEEP_MS);
      came = this.receive();
    }
    setImmediate(() => this.lookOn(!came));
  }

  /** Also sends what had no room before. @returns whether anything came */
  private receive(): boolean {
    if (this.inbox === undefined) return false;
    let came = this.receiveMessages(this.inbox);
    for (const [peer, lane] of this.lanes)
      if (this.onLane(peer, () => this.serve(peer, lane, this.inbox!))) came = true;
    return came;
  }

  private serve(peer: number, lane: Lane, inbox: Inbox): boolean {
    if (lane.isFull) lane.pump();
    if (this.isClosed) return false;
    return lane.receive(
      (head, payload) => inbox.take(head, 2, payload),
      (head, payloadBytes) => this.placeFor(peer, head, payloadBytes),
    );
  }

  private placeFor(peer: number, head: Uint8Array, payloadBytes: number): Uint8Array | undefined {
    const landing = this.landings.get(peer);
    if (landing === undefined) return undefined;
    const frame = parseHeader(head, 2, payloadBytes, this.membership!);
    if (frame.status !== 'ok' || frame.sender !== peer || isControl(frame.header.operation)) return undefined;
    const place = landing(frame.header as FrameTag);
    return place?.length === payloadBytes ? place : undefined;
  }

  private receiveMessages(inbox: Inbox): boolean {
    const { zmq, pull } = this;
    let messages = 0;
    try {
      for (; messages < MOST_AT_ONCE && !this.isClosed; messages++) {
        const length = zmq.receive(pull, this.head);
        if (length < 0) break;
        let parts = 1;
        let payload: Message | undefined;
        for (let hasMore = zmq.hasMore(pull); hasMore; hasMore = payload?.hasMore ?? false) {
          payload?.release();
          payload = zmq.receiveMessage(pull);
          parts += 1;
        }
        inbox.take(this.head.subarray(0, length), parts, payload ?? NOTHING);
      }
    } catch (error) {
      this.listener!.fail(error as Error);
    }
    return messages > 0;
  }
}
