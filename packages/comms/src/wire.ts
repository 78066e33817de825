// What a transport carries for a mesh: frames that are never dropped. Those of collectives stay in order, and so do controls; the
// two may go different ways. No waiting and no failures here.
import type { Dtype, Landing, Operation } from './mesh.js';
import type { ByteSource, Digest } from './vector/kernels.js';

/**
 * Frames beside those of collectives; order is the wire format. `hello` proves that a peer can be reached, `ready` that it
 * has heard all others; `credit` gives room for `elements` more frames; `waiting` tells that the sender is stuck waiting for
 * rank `root` (`NOBODY`: no longer); `failed` tells why it gives up; `left` that it has closed its group after `elements`
 * frames of collectives to this peer, modulo 2^32: they may come another way, and later.
 */
export const CONTROLS = ['hello', 'ready', 'credit', 'waiting', 'failed', 'left'] as const;
export type Control = (typeof CONTROLS)[number];

export function isControl(operation: Operation | Control): operation is Control {
  return (CONTROLS as readonly string[]).includes(operation);
}

export const NOBODY = 0xffffffff;

/** Numbers are unsigned and have 32 bits. */
export interface FrameHeader {
  readonly operation: Operation | Control;
  readonly sequence: number;
  readonly dtype: Dtype;
  readonly elements: number;
  readonly root: number;
  readonly chunk: number;
}

/**
 * Frames of collectives that may be on their way to a peer before it has taken them out of its queue. It bounds what a
 * receiver must hold, and a sender may reuse a frame's memory after this many later ones.
 */
export const WINDOW_FRAMES = 16;

/** Bytes to send. */
export interface Outgoing {
  /** Asked for once, when the frame leaves. */
  bytes(): Uint8Array;
  /** Of these bytes, where it is known already. */
  readonly digest?: Digest;
  /**
   * The bytes stay as they are until the peer has taken the frame, so that the wire need not copy them. Otherwise they may change
   * as soon as `post` returns.
   */
  readonly isLent: boolean;
}

/** The bytes of a frame where the wire has them. Long ones are compared with their checksum while they are read. */
export interface Payload extends ByteSource {
  /** They will not be read any more. */
  release(): void;
}

/** One rank's links to the others. */
export interface Wire {
  /** As `Mesh.chunkBytes`. */
  readonly chunkBytes: number;
  /** Hands a frame over without waiting. */
  post(to: number, header: FrameHeader, payload: Outgoing): void;
  /** As `Mesh.land`; a wire without it has nowhere to put them earlier. */
  land?(from: number, landing: Landing | undefined): void;
  /** Whether somebody waits for frames: a wire that has to look for them looks all the time then. */
  setWaiting(isWaiting: boolean): void;
  /** Frames posted to `forgotten` ranks need not arrive. Resolves within a second, whatever the others do. */
  close(forgotten: ReadonlySet<number>): Promise<void>;
}

/** What a wire tells its mesh. */
export interface WireListener {
  /** Whoever has taken the payload releases it. */
  deliver(from: number, header: FrameHeader, payload: Payload): void;
  /** The link to `peer` has ended; frames that it sent before may still be delivered. */
  lose(peer: number, reason: string): void;
  fail(error: Error): void;
}
