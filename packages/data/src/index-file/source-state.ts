// How a file or folder looked when an index was made of it. Size and time alone miss a file that is rewritten within the
// clock's resolution, so the ends of files are looked at too.
import { type FileHandle, open, stat } from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';

export interface SourceState {
  /** Absolute. */
  readonly path: string;
  /** Bytes; 0 for a folder. */
  readonly bytes: number;
  /** Nanoseconds, as text since JSON has no such numbers. */
  readonly modified: string;
  /** CRC-32 of the first and last 4 KiB; 0 for a folder. */
  readonly edges: number;
}

const EDGE_BYTES = 1 << 12;
const AT_ONCE = 64;

/** @throws the system's error when it cannot be read */
export async function sourceState(source: string): Promise<SourceState> {
  const absolute = path.resolve(source);
  const found = await stat(absolute, { bigint: true });
  const modified = String(found.mtimeNs);
  if (found.isDirectory()) return { path: absolute, bytes: 0, modified, edges: 0 };
  const bytes = Number(found.size);
  const handle = await open(absolute, 'r');
  try {
    const first = await edge(handle, 0, bytes);
    const last = await edge(handle, Math.max(0, bytes - EDGE_BYTES), bytes);
    return { path: absolute, bytes, modified, edges: crc32(last, crc32(first)) };
  } finally {
    await handle.close();
  }
}

/** Some at a time: there may be thousands of shards, and files that may be open are limited. */
export async function areUnchanged(states: readonly SourceState[]): Promise<boolean> {
  for (let begin = 0; begin < states.length; begin += AT_ONCE) {
    const unchanged = await Promise.all(states.slice(begin, begin + AT_ONCE).map(isUnchanged));
    if (!unchanged.every(Boolean)) return false;
  }
  return true;
}

async function isUnchanged(state: SourceState): Promise<boolean> {
  const now = await sourceState(state.path).catch(() => undefined);
  return now !== undefined && now.bytes === state.bytes && now.modified === state.modified && now.edges === state.edges;
}

async function edge(handle: FileHandle, begin: number, bytes: number): Promise<Buffer> {
  const piece = Buffer.alloc(Math.min(EDGE_BYTES, bytes - begin));
  const { bytesRead } = await handle.read(piece, 0, piece.length, begin);
  return piece.subarray(0, bytesRead);
}
