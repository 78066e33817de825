// Reads files into memory of the caller's, and hashes them on the way where they have to be verified.
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { SlipError } from '@slip/core';

/** Where the next bytes of a file go: memory, or nowhere but through the hash. */
export type Part = Uint8Array | { readonly skip: number };

/** Small enough to be hashed from the processor's cache. */
const PIECE_BYTES = 1 << 20;
/** One read call moves at most this much: the system refuses more than 2 GiB. */
const READ_BYTES = 64 << 20;

/**
 * Reads a file from its start in one pass; a piece is read while the one before is hashed.
 * @param parts in the order of the file's bytes
 * @returns SHA-256 of what was read, hexadecimal
 * @throws SlipError `checkpoint` where the file is too short; the system's own error
 */
export async function readHashed(file: string, handle: FileHandle, parts: readonly Part[]): Promise<string> {
  const hash = createHash('sha256');
  let position = 0;
  let previous: Uint8Array | undefined;
  for (const piece of piecesOf(parts)) {
    const reading = readFully(file, handle, piece, position);
    // A failure must not go unhandled should hashing throw.
    reading.catch(() => undefined);
    if (previous !== undefined) hash.update(previous);
    await reading;
    position += piece.length;
    previous = piece;
  }
  if (previous !== undefined) hash.update(previous);
  return hash.digest('hex');
}

/** @throws SlipError `checkpoint` where the file is too short; the system's own error */
export async function readFully(file: string, handle: FileHandle, target: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < target.length) {
    const length = Math.min(READ_BYTES, target.length - done);
    const { bytesRead } = await handle.read(target, done, length, position + done);
    if (bytesRead === 0)
      throw new SlipError('checkpoint', `${file} ended at byte ${position + done} while it was read`);
    done += bytesRead;
  }
}

/** Two buffers in turns for what is dropped: one is read while the other is hashed. */
function* piecesOf(parts: readonly Part[]): Generator<Uint8Array> {
  let [current, next] = [new Uint8Array(0), new Uint8Array(0)];
  for (const part of parts) {
    const isDropped = 'skip' in part;
    const length = isDropped ? part.skip : part.length;
    for (let begin = 0; begin < length; begin += PIECE_BYTES) {
      const bytes = Math.min(PIECE_BYTES, length - begin);
      if (isDropped) {
        if (current.length < bytes) current = new Uint8Array(Math.min(PIECE_BYTES, part.skip));
        yield current.subarray(0, bytes);
        [current, next] = [next, current];
      } else yield part.subarray(begin, begin + bytes);
    }
  }
}
