// Streams tensors to a safetensors file in one pass: each piece is hashed while it is being written. Never holds more
// than a piece, so files above 4 GiB and tensors above 2 GiB are nothing special.
import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { invariant, syncFolder } from '@slip/core';
import { byteLengthOf, bytesOf, type TensorArray, type WritableTensor } from './named-tensor.js';
import { encodeHeader } from './safetensors-header.js';

export interface WrittenFile {
  readonly sizeBytes: number;
  /** SHA-256 of the whole file, hexadecimal. */
  readonly sha256: string;
}

/** Large enough to keep a disk busy, small enough for the hash of one piece not to hold up the event loop. */
const PIECE_BYTES = 4 << 20;

/**
 * Replaces `file` atomically and durably; a failed write leaves the old file.
 * @param tensors borrowed until the promise resolves; names unique
 * @param metadata free text for people and other tools, stored as `__metadata__`
 * @throws the system's own error (ENOSPC, EIO, ...)
 */
export async function writeSafetensors(
  file: string,
  tensors: readonly WritableTensor[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<WrittenFile> {
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}.tmp`);
  try {
    const written = await writeTensorsInPlace(temporary, tensors, metadata);
    await rename(temporary, file);
    await syncFolder(path.dirname(file));
    return written;
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Writes and syncs `file` itself; for callers that make a whole folder appear at once. */
export async function writeTensorsInPlace(
  file: string,
  tensors: readonly WritableTensor[],
  metadata: Readonly<Record<string, string>>,
): Promise<WrittenFile> {
  const { bytes, ordered } = encodeHeader(tensors, metadata);
  const handle = await open(file, 'w');
  try {
    const hash = createHash('sha256');
    let sizeBytes = await writePiece(handle, hash, bytes);
    for (const tensor of ordered) {
      const before = sizeBytes;
      for await (const piece of piecesOf(tensor)) sizeBytes += await writePiece(handle, hash, piece);
      invariant(sizeBytes - before === byteLengthOf(tensor), `${tensor.name} gave ${sizeBytes - before} bytes`);
    }
    await handle.sync();
    return { sizeBytes, sha256: hash.digest('hex') };
  } finally {
    await handle.close();
  }
}

function piecesOf(tensor: WritableTensor): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  return 'data' in tensor ? piecesInMemory(tensor.data) : tensor.chunks();
}

function* piecesInMemory(data: TensorArray): Generator<Uint8Array> {
  for (let begin = 0; begin < data.byteLength; begin += PIECE_BYTES) {
    yield bytesOf(data, begin, Math.min(begin + PIECE_BYTES, data.byteLength));
  }
}

async function writePiece(handle: FileHandle, hash: Hash, piece: Uint8Array): Promise<number> {
  const writing = writeFully(handle, piece);
  // Runs while the thread pool writes; a failure of the write must not go unhandled should hashing throw.
  writing.catch(() => undefined);
  hash.update(piece);
  await writing;
  return piece.length;
}

async function writeFully(handle: FileHandle, piece: Uint8Array): Promise<void> {
  let done = 0;
  while (done < piece.length) {
    const { bytesWritten } = await handle.write(piece, done, piece.length - done);
    done += bytesWritten;
  }
}
