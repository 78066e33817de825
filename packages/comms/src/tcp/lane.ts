// A tcp connection of its own to one other rank, for the frames of collectives: each header is followed by its payload, nothing
// else is in it. It neither waits nor knows what frames mean.

import { HEADER_BYTES, payloadBytesIn } from '../frames/frame.js';
import type { RawPayload } from '../frames/inbox.js';
import { MAX_LANE_PAYLOAD_BYTES } from '../mesh.js';
import { loadNative } from '../shared/native.js';
import { show } from '../vector/kernel-memory.js';
import { WINDOW_FRAMES } from '../wire.js';
import type { Sockets } from './sockets.js';

/** Of what is still to come of a payload; a fraction of what the system holds, so that the peer goes on sending meanwhile. */
const WAKE_BYTES = 512 << 10;
/** The window, the frame that is being taken in, and the one that is just arriving. */
const SLOTS = WINDOW_FRAMES + 2;

/** Of what is to be sent. */
interface Part {
  /** Made when their turn comes, where they are not made yet. */
  bytes: Uint8Array | (() => Uint8Array);
  /** The next one belongs to it. */
  readonly hasMore: boolean;
}

export class Lane {
  /** Its descriptor; -1 once it is closed, which polls pass over. */
  file: number;
  private readonly sockets: Sockets;
  private readonly slots = makeSlots();
  private readonly head = Buffer.alloc(HEADER_BYTES);
  /** Where the payload of the header that came last goes; nowhere while the header itself is arriving. */
  private payload: RawPayload | undefined;
  private isLanding = false;
  private wakesAt = 1;
  /** How much has come of the header or of the payload. */
  private got = 0;
  /** What the system has not taken; the first one perhaps in part. */
  private readonly queue: Part[] = [];

  constructor(sockets: Sockets, file: number) {
    this.sockets = sockets;
    this.file = file;
  }

  /** Whether something waits until the system has room. */
  get isFull(): boolean {
    return this.queue.length > 0;
  }

  /** Nothing goes or comes any more. */
  get isClosed(): boolean {
    return this.file < 0;
  }

  /**
   * @param head asked for when the frame leaves: a digest made just before is made of bytes that are then in the cache
   * @param isLent the payload stays as it is until it has left
   * @throws Error where the connection has ended
   */
  post(head: () => Uint8Array, payload: Uint8Array, isLent: boolean): void {
    if (this.isClosed) return;
    const isFirst = this.queue.length === 0;
    const kept = isLent || isFirst ? payload : Uint8Array.from(payload);
    this.queue.push({ bytes: isLent ? head : head(), hasMore: kept.length > 0 });
    if (kept.length > 0) this.queue.push({ bytes: kept, hasMore: false });
    if (isFirst) this.pump();
    const rest = this.queue.at(-1);
    // What has not left waits, whatever becomes of the payload's memory until then.
    if (isFirst && !isLent && rest !== undefined) rest.bytes = Uint8Array.from(bytesOf(rest));
  }

  /** Sends what there is room for. @throws Error where the connection has ended */
  pump(): void {
    while (this.queue.length > 0) {
      const [part] = this.queue;
      const bytes = bytesOf(part);
      const sent = this.sockets.send(this.file, bytes, part.hasMore);
      part.bytes = bytes.subarray(sent);
      if (sent < bytes.length) return;
      this.queue.shift();
    }
  }

  /**
   * Takes in what has come, up to the end of a frame: who is told of it may use it before the next one takes its place in the cache.
   * @param land where the payload of this header may be put straight away, exactly as long as it is; nowhere in particular without it
   * @returns whether anything has come
   * @throws Error where the connection has ended, or carries something else
   */
  receive(
    take: (head: Uint8Array, payload: RawPayload) => void,
    land: (head: Uint8Array, payloadBytes: number) => Uint8Array | undefined = () => undefined,
  ): boolean {
    if (this.isClosed) return false;
    const before = this.got;
    const wasInHead = this.payload === undefined;
    if (this.payload === undefined) {
      if (!this.fill(this.head)) return this.got > before;
      this.payload = this.payloadFor(take, land);
    }
    const { payload } = this;
    if (!this.fill(payload.held!)) return wasInHead || this.got > before;
    this.payload = undefined;
    this.isLanding = false;
    take(this.head, payload);
    return true;
  }

  /** Nothing is put anywhere but into the lane's own memory from now on. What was half there is lost, and the lane with it. */
  stopLanding(): void {
    if (this.isLanding) this.close();
  }

  close(): void {
    if (!this.isClosed) this.sockets.close(this.file);
    this.file = -1;
    this.queue.length = 0;
  }

  /** What follows the header that has just come. */
  private payloadFor(...[take, land]: Required<Parameters<Lane['receive']>>): RawPayload {
    const length = payloadBytesIn(this.head);
    if (length > MAX_LANE_PAYLOAD_BYTES) {
      take(this.head, { length, read() {}, release() {} });
      throw new Error('it carries no frames');
    }
    const place = land(this.head, length);
    this.isLanding = place !== undefined;
    if (place !== undefined) return heldIn(place, () => undefined);
    const slot = this.slots.pop();
    if (slot === undefined) throw new Error('it carries more frames than it may');
    // The last one given back is the first one used again: it is still in the cache.
    return heldIn(slot.subarray(0, length), () => this.slots.push(slot));
  }

  /** @returns whether `into` is full */
  private fill(into: Uint8Array): boolean {
    while (this.got < into.length) {
      const came = this.sockets.receive(this.file, this.got === 0 ? into : into.subarray(this.got));
      if (came < 0) {
        this.wakeAt(Math.min(WAKE_BYTES, into.length - this.got));
        return false;
      }
      if (came === 0) throw new Error('it was closed');
      this.got += came;
    }
    this.got = 0;
    return true;
  }

  private wakeAt(bytes: number): void {
    if (bytes !== this.wakesAt) this.sockets.wakeAt(this.file, bytes);
    this.wakesAt = bytes;
  }
}

function bytesOf({ bytes }: Part): Uint8Array {
  return typeof bytes === 'function' ? bytes() : bytes;
}

function heldIn(held: Uint8Array, release: () => void): RawPayload {
  return { length: held.length, held, read: (at, into) => into.set(held.subarray(at, at + into.length)), release };
}

/** In memory that the kernels see, where it can be mapped. */
function makeSlots(): Uint8Array[] {
  const native = loadNative();
  const bytes = SLOTS * MAX_LANE_PAYLOAD_BYTES;
  const memory = 'missing' in native ? new ArrayBuffer(bytes) : native.mapOwn(bytes);
  if (!('missing' in native)) show(new Float32Array(memory));
  return Array.from(
    { length: SLOTS },
    (_, i) => new Uint8Array(memory, i * MAX_LANE_PAYLOAD_BYTES, MAX_LANE_PAYLOAD_BYTES),
  );
}
