// What a transport carries for a mesh: frames that stay in order and are never dropped. No waiting and no failures here.
import type { Dtype, Operation } from './mesh.js';

/**
 * Frames beside those of collectives; order is the wire format. `hello` proves that a peer can be reached, `ready` that it
 * has heard all others; `credit` gives room for `elements` more frames; `waiting` tells that the sender is stuck waiting for
 * rank `root` (`NOBODY`: no longer); `failed` tells why it gives up; `left` that it has closed its group.
 */
export const CONTROLS = ['hello', 'ready', 'credit', 'waiting', 'failed', 'left'] as const;
export type Control = (typeof CONTROLS)[number];
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

/** One rank's links to the others. */
export interface Wire {
  /** Hands a frame over without waiting; the payload may be written to as soon as this returns. */
  post(to: number, header: FrameHeader, payload: Uint8Array): void;
  /** Frames posted to `forgotten` ranks need not arrive. Resolves within a second, whatever the others do. */
  close(forgotten: ReadonlySet<number>): Promise<void>;
}

/** What a wire tells its mesh. */
export interface WireListener {
  deliver(from: number, header: FrameHeader, payload: Uint8Array): void;
  /** The link to `peer` has ended; frames that it sent before may still be delivered. */
  lose(peer: number, reason: string): void;
  fail(error: Error): void;
}
