// The header in front of every payload: whose frame it is, of which run, part of what, and its checksum. Pure.
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { DType, Operation } from '../mesh.js';

export const HEADER_BYTES = 40;
const MAGIC = 0x534c4950;
const VERSION = 2;

/** Order is the wire format. `hello` proves that a peer can be reached; `failed` tells why a rank gives up. */
const KINDS = [
  'hello',
  'failed',
  'allReduce sum',
  'allReduce max',
  'reduceScatter',
  'allGather',
  'broadcast',
  'object',
  'barrier',
] as const satisfies readonly (Operation | 'hello' | 'failed')[];
const DTYPES = ['float32', 'uint8', 'json'] as const satisfies readonly DType[];
export type FrameKind = (typeof KINDS)[number];

/** Tells runs and restarts apart. */
export interface Membership {
  readonly runHash: number;
  readonly generation: number;
}

export interface FrameHeader {
  readonly kind: FrameKind;
  readonly sender: number;
  readonly sequence: number;
  readonly elements: number;
  readonly chunk: number;
  readonly dtype: DType;
}

export type ParsedFrame =
  | { readonly status: 'ok'; readonly header: FrameHeader; readonly payload: Uint8Array }
  /** Not of this run and generation, or no frame at all: to be counted and dropped. */
  | { readonly status: 'foreign' }
  /** Ours by its header, but damaged. */
  | { readonly status: 'damaged'; readonly sender: number; readonly reason: string };

export function hashRun(runId: string): number {
  return createHash('sha256').update(runId).digest().readUInt32LE(0);
}

/** About a third of a millisecond per MiB goes into the checksum. */
export function encodeHeader(membership: Membership, header: FrameHeader, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  const fields = [
    MAGIC,
    VERSION | (KINDS.indexOf(header.kind) << 8) | (DTYPES.indexOf(header.dtype) << 16),
    membership.runHash,
    membership.generation,
    header.sender,
    header.sequence,
    header.elements,
    header.chunk,
    payload.length,
    crc32(payload),
  ];
  fields.forEach((value, i) => {
    bytes.writeUInt32LE(value, 4 * i);
  });
  return bytes;
}

export function parseFrame(parts: readonly Uint8Array[], membership: Membership, worldSize: number): ParsedFrame {
  const [head, payload] = parts;
  if (parts.length !== 2 || head.length !== HEADER_BYTES) return { status: 'foreign' };
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const field = (i: number) => view.getUint32(4 * i, true);
  const kind = KINDS[(field(1) >>> 8) & 0xff] as FrameKind | undefined;
  const dtype = DTYPES[field(1) >>> 16] as DType | undefined;
  if (field(0) !== MAGIC || (field(1) & 0xff) !== VERSION || kind === undefined || dtype === undefined)
    return { status: 'foreign' };
  if (field(2) !== membership.runHash || field(3) !== membership.generation || field(4) >= worldSize)
    return { status: 'foreign' };
  const sender = field(4);
  if (field(8) !== payload.length) {
    return { status: 'damaged', sender, reason: `${payload.length} bytes arrived of ${field(8)}` };
  }
  if (field(9) !== crc32(payload)) return { status: 'damaged', sender, reason: 'the checksum is wrong' };
  const header = { kind, sender, sequence: field(5), elements: field(6), chunk: field(7), dtype };
  return { status: 'ok', header, payload };
}
