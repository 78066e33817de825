// What the algorithms need of the ranks around them: ordered frames between any two ranks. No sockets and no sums here.

import type { Outgoing, Payload } from './wire.js';

/** Order is the wire format. */
export const OPERATIONS = [
  'allReduce sum',
  'allReduce max',
  'reduceScatter',
  'allGather',
  'broadcast',
  'object',
  'barrier',
] as const;
export type Operation = (typeof OPERATIONS)[number];

/** Order is the wire format. */
export const DTYPES = ['uint8', 'float32', 'bfloat16', 'float16'] as const;
export type Dtype = (typeof DTYPES)[number];

/** What a frame is part of; sender and receiver must agree on all of it. */
export interface FrameTag {
  readonly operation: Operation;
  /** Number of the collective in this group. */
  readonly sequence: number;
  readonly dtype: Dtype;
  /** Elements of the whole collective; 0 where sizes may differ by rank (objects). */
  readonly elements: number;
  /** The rank whose values are sent, in a broadcast; 0 elsewhere. */
  readonly root: number;
  /** Number of the frame among those of this collective on this link. */
  readonly chunk: number;
}

/**
 * Longest payload of one frame over ZeroMQ: a chunk of a long message, or a JSON object. Small enough to pipeline, large enough to
 * amortise a frame: half of it cost 12 %, four times of it twice the time, since glibc maps such blocks anew.
 */
export const MAX_PAYLOAD_BYTES = 1 << 20;
/** Elements of a chunk over ZeroMQ. */
export const CHUNK_ELEMENTS = MAX_PAYLOAD_BYTES / Float32Array.BYTES_PER_ELEMENT;
/** Longest payload of one frame through a lane, which has memory of its own. */
export const MAX_LANE_PAYLOAD_BYTES = 4 << 20;

/** Where the payload of a coming frame belongs, exactly as long as it is; undefined where that is not settled. */
export type Landing = (tag: FrameTag) => Uint8Array | undefined;

export interface Mesh {
  readonly rank: number;
  readonly worldSize: number;
  /** Bytes of a chunk of a long message, the same on all ranks that pass it on. */
  readonly chunkBytes: number;
  /** Settles when the payload, no longer than a chunk, is on its way; until then it must not change. */
  send(to: number, tag: FrameTag, payload: Outgoing): Promise<void>;
  /**
   * The next frame of `from`, which must carry `tag`; to be released when it has been read.
   * @throws SlipError `peer-lost` that names the rank and both operations when it is late, lost or does something else
   */
  receive(from: number, tag: FrameTag): Promise<Payload>;
  /**
   * Until the next call frames of `from` may be put where they belong as they arrive, before anybody has checked them. A frame for
   * which that comes too late, or over a wire that cannot do it, is received as ever.
   */
  land(from: number, landing: Landing | undefined): void;
  /** Tells `from` at once that its frames so far have been taken. */
  acknowledge(from: number): void;
  /** Settles when `to` has taken all frames: what was lent may change again. */
  delivered(to: number, tag: FrameTag): Promise<void>;
}

export function sameTag(a: FrameTag, b: FrameTag): boolean {
  return (
    a.operation === b.operation &&
    a.sequence === b.sequence &&
    a.dtype === b.dtype &&
    a.elements === b.elements &&
    a.root === b.root &&
    a.chunk === b.chunk
  );
}

const UNITS = { uint8: 'bytes', float32: 'elements', bfloat16: 'elements in bfloat16', float16: 'elements in float16' };

/** For people: "allReduce sum #12 of 1024 elements". */
export function describeTag({ operation, sequence, dtype, elements, root }: FrameTag): string {
  const size = elements > 0 ? ` of ${elements} ${UNITS[dtype]}` : '';
  return `${operation} #${sequence}${size}${operation === 'broadcast' ? ` from rank ${root}` : ''}`;
}
