// A tcp connection of its own to one other rank, for the frames of collectives: each header is followed by its payload, nothing
// else is in it. It neither waits nor knows what frames mean.
import { MAX_PAYLOAD_BYTES } from '../mesh.js';
import { loadNative } from '../shared/native.js';
import { show } from '../vector/kernel-memory.js';
import { WINDOW_FRAMES } from '../wire.js';
import { HEADER_BYTES, payloadBytesIn } from '../zeromq/frame.js';
import type { RawPayload } from '../zeromq/inbox.js';
import type { Sockets } from './sockets.js';

/** The window, the frame that is being taken in, and the one that is just arriving. */
const SLOTS = WINDOW_FRAMES + 2;

export class Lane {
  /** Its descriptor; -1 once it is closed, which polls pass over. */
  file: number;
  private readonly sockets: Sockets;
  private readonly slots = makeSlots();
  private readonly head = Buffer.alloc(HEADER_BYTES);
  /** Where the payload of the header that came last goes; none while the header itself is arriving. */
  private slot: Uint8Array | undefined;
  private payloadBytes = 0;
  /** How much has come of the header or of the payload. */
  private got = 0;
  /** What the system has not taken; the first one perhaps in part. */
  private readonly queue: Uint8Array[] = [];

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
   * @param head stays as it is; @param isLent so does the payload until it has left
   * @throws Error where the connection has ended
   */
  post(head: Uint8Array, payload: Uint8Array, isLent: boolean): void {
    if (this.isClosed) return;
    const [restOfHead, rest] = this.isFull ? [head, payload] : this.sendNow(head, payload);
    if (restOfHead.length > 0) this.queue.push(restOfHead);
    if (rest.length > 0) this.queue.push(isLent ? rest : Uint8Array.from(rest));
  }

  /** Sends what there is room for. @throws Error where the connection has ended */
  pump(): void {
    while (this.queue.length > 0) {
      const [bytes] = this.queue;
      const sent = this.sockets.send(this.file, bytes, false);
      if (sent < bytes.length) {
        this.queue[0] = bytes.subarray(sent);
        return;
      }
      this.queue.shift();
    }
  }

  /**
   * Takes in what has come, up to the end of a frame: who is told of it may use it before the next one takes its place in the cache.
   * @returns whether anything has come
   * @throws Error where the connection has ended, or carries something else
   */
  receive(take: (head: Uint8Array, payload: RawPayload) => void): boolean {
    if (this.isClosed) return false;
    const before = this.got;
    if (this.slot === undefined) {
      if (!this.fill(this.head, HEADER_BYTES)) return this.got > before;
      this.slot = this.slotFor(take);
    }
    const { slot } = this;
    if (!this.fill(slot, this.payloadBytes)) return this.got > 0;
    this.slot = undefined;
    take(this.head, this.payloadIn(slot.subarray(0, this.payloadBytes), slot));
    return true;
  }

  close(): void {
    if (!this.isClosed) this.sockets.close(this.file);
    this.file = -1;
    this.queue.length = 0;
  }

  /** Where the payload of the header goes that has just come. */
  private slotFor(take: (head: Uint8Array, payload: RawPayload) => void): Uint8Array {
    this.payloadBytes = payloadBytesIn(this.head);
    if (this.payloadBytes > MAX_PAYLOAD_BYTES) {
      take(this.head, { length: this.payloadBytes, read() {}, release() {} });
      throw new Error('it carries no frames');
    }
    const slot = this.slots.pop();
    if (slot === undefined) throw new Error('it carries more frames than it may');
    return slot;
  }

  private payloadIn(held: Uint8Array, slot: Uint8Array): RawPayload {
    return {
      length: held.length,
      held,
      read: (at, into) => into.set(held.subarray(at, at + into.length)),
      // The last one given back is the first one used again: it is still in the cache.
      release: () => void this.slots.push(slot),
    };
  }

  /** @returns what is left of both */
  private sendNow(head: Uint8Array, payload: Uint8Array): [Uint8Array, Uint8Array] {
    const restOfHead = head.subarray(this.sockets.send(this.file, head, payload.length > 0));
    if (restOfHead.length > 0 || payload.length === 0) return [restOfHead, payload];
    return [restOfHead, payload.subarray(this.sockets.send(this.file, payload, false))];
  }

  /** @returns whether `into` holds as many bytes as are wanted */
  private fill(into: Uint8Array, wanted: number): boolean {
    while (this.got < wanted) {
      const came = this.sockets.receive(this.file, into.subarray(this.got, wanted));
      if (came < 0) return false;
      if (came === 0) throw new Error('it was closed');
      this.got += came;
    }
    this.got = 0;
    return true;
  }
}

/** In memory that the kernels see, where it can be mapped. */
function makeSlots(): Uint8Array[] {
  const native = loadNative();
  const bytes = SLOTS * MAX_PAYLOAD_BYTES;
  const memory = 'missing' in native ? new ArrayBuffer(bytes) : native.mapOwn(bytes);
  if (!('missing' in native)) show(new Float32Array(memory));
  return Array.from({ length: SLOTS }, (_, i) => new Uint8Array(memory, i * MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES));
}
