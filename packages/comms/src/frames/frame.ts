// The header in front of every payload: whose frame it is, of which run, part of what, and its checksum. Pure.
import { createHash } from 'node:crypto';
// Since Node 20.15 and 22.2.
import { crc32 } from 'node:zlib';
import { SlipError } from '@slip/core';
import { DTYPES, MAX_LANE_PAYLOAD_BYTES, OPERATIONS } from '../mesh.js';
import { type Digest, digestOf } from '../vector/kernels.js';
import { CONTROLS, type FrameHeader, type Outgoing } from '../wire.js';

/**
 * Little-endian: magic (4 bytes); version, operation, dtype, 0 (one byte each); run hash (8); then words of 4 bytes:
 * generation, hash of all endpoints, sender, sequence, elements, root, chunk, payload bytes, CRC-32.
 */
export const HEADER_BYTES = 52;
export const PROTOCOL_VERSION = 4;
const CHECKSUM_AT = HEADER_BYTES - 4;
const PAYLOAD_BYTES_AT = CHECKSUM_AT - 4;
/** From here on a payload counts by its digest, and is checked while it is read. */
export const DIGESTED_BYTES = 4096;
const MAGIC = 0x534c4950;
/** What every version of the header begins with, up to the sender. */
const COMMON_BYTES = 28;
const KINDS = [...CONTROLS, ...OPERATIONS] as const;

/** Tells runs, their restarts, and processes that pose as one of the ranks apart. */
export interface Membership {
  readonly runHash: bigint;
  readonly generation: number;
  /** Of all endpoints in rank order: a rank that was started again listens elsewhere. */
  readonly tableHash: number;
  readonly worldSize: number;
}

export type ParsedFrame =
  | { readonly status: 'ok'; readonly sender: number; readonly header: FrameHeader }
  /** No frame at all, or not of this run, generation and set of ranks: to be counted and dropped. */
  | { readonly status: 'foreign' }
  /** Of this run and generation by its header, but not to be used. */
  | { readonly status: 'refused'; readonly sender: number; readonly reason: string };

export function membershipOf(runId: string, generation: number, endpoints: readonly string[]): Membership {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return {
    runHash: hash(runId).readBigUInt64LE(),
    generation,
    tableHash: hash(JSON.stringify(endpoints)).readUInt32LE(),
    worldSize: endpoints.length,
  };
}

/**
 * The checksum covers header and payload. Of a long payload it covers the digest: CRC-32 alone (4.3 GB/s with the zlib of Node
 * 20) was two thirds of what a chunk of the ring cost.
 * @param digest that of `payload`, where it is known
 */
export function encodeHeader(
  membership: Membership,
  sender: number,
  header: FrameHeader,
  payload: Uint8Array,
  digest?: Outgoing['digest'],
): Uint8Array {
  // From Node's pool: an array of its own would cost more than all that is written to it.
  const bytes = Buffer.allocUnsafe(HEADER_BYTES);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes[4] = PROTOCOL_VERSION;
  bytes[5] = KINDS.indexOf(header.operation);
  bytes[6] = DTYPES.indexOf(header.dtype);
  bytes[7] = 0;
  bytes.writeBigUInt64LE(membership.runHash, 8);
  bytes.writeUInt32LE(membership.generation, 16);
  bytes.writeUInt32LE(membership.tableHash, 20);
  bytes.writeUInt32LE(sender, 24);
  bytes.writeUInt32LE(header.sequence, 28);
  bytes.writeUInt32LE(header.elements, 32);
  bytes.writeUInt32LE(header.root, 36);
  bytes.writeUInt32LE(header.chunk, 40);
  bytes.writeUInt32LE(payload.length, PAYLOAD_BYTES_AT);
  bytes.writeUInt32LE(checksumOf(bytes, countedOf(payload, digest)), CHECKSUM_AT);
  return bytes;
}

/**
 * Never throws, whatever the bytes are, and allocates nothing that grows with them. What it finds is only to be believed once
 * `isIntact` has said so.
 * @param parts how many the message has; @param payloadBytes the length of its second one
 */
export function parseHeader(
  head: Uint8Array,
  parts: number,
  payloadBytes: number,
  membership: Membership,
): ParsedFrame {
  if (parts !== 2 || head.length < COMMON_BYTES) return { status: 'foreign' };
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const word = (at: number) => view.getUint32(at, true);
  const sender = word(24);
  const isOfThisRun = view.getBigUint64(8, true) === membership.runHash && word(16) === membership.generation;
  if (word(0) !== MAGIC || !isOfThisRun || sender >= membership.worldSize) return { status: 'foreign' };
  const refused = (reason: string) => ({ status: 'refused', sender, reason }) as const;
  const version = view.getUint8(4);
  if (version !== PROTOCOL_VERSION) {
    return refused(`protocol version ${version} instead of ${PROTOCOL_VERSION}; install the same version on all nodes`);
  }
  if (word(20) !== membership.tableHash) return { status: 'foreign' };
  if (head.length !== HEADER_BYTES) return refused(`a header of ${head.length} bytes instead of ${HEADER_BYTES}`);
  if (payloadBytes > MAX_LANE_PAYLOAD_BYTES) return refused(`a frame of ${payloadBytes} bytes, which is too long`);
  const sentBytes = payloadBytesIn(head);
  if (sentBytes !== payloadBytes) return refused(`a damaged frame: ${payloadBytes} bytes arrived of ${sentBytes}`);
  const operation = KINDS.at(view.getUint8(5));
  const dtype = DTYPES.at(view.getUint8(6));
  if (operation === undefined || dtype === undefined) return refused('a frame of an unknown operation or type');
  const header = { operation, dtype, sequence: word(28), elements: word(32), root: word(36), chunk: word(40) };
  return { status: 'ok', sender, header };
}

/** How long the payload is by its header, which may be anything. */
export function payloadBytesIn(head: Uint8Array): number {
  return new DataView(head.buffer, head.byteOffset, head.byteLength).getUint32(PAYLOAD_BYTES_AT, true);
}

/** @param counted a short payload itself, the digest of a long one */
export function isIntact(head: Uint8Array, counted: Uint8Array): boolean {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return view.getUint32(CHECKSUM_AT, true) === checksumOf(head, counted);
}

export function damaged(sender: number): SlipError {
  return refusal(sender, 'a damaged frame: the checksum is wrong');
}

export function refusal(sender: number, reason: string): SlipError {
  return new SlipError('peer-lost', `rank ${sender} sent ${reason}`, { details: { rank: sender } });
}

function countedOf(payload: Uint8Array, digest?: Digest): Uint8Array {
  return payload.length < DIGESTED_BYTES ? payload : (digest ?? digestOf(payload));
}

/** The payload first: zlib answers 0, whatever it starts from, when it is given an empty buffer without memory behind it. */
function checksumOf(head: Uint8Array, counted: Uint8Array): number {
  return crc32(head.subarray(0, CHECKSUM_AT), crc32(counted));
}
