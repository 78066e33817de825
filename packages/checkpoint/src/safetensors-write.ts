// Streams tensors to a safetensors file in one pass: each piece is hashed while it is being written. Never holds more
// than a piece, so files above 4 GiB and tensors above 2 GiB are nothing special.
import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { invariant, syncFolder } from '@slip/core';
import { readPieces } from './hashed-read.js';
import { isInMemory } from './memory-folder.js';
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

/** Writes and syncs `file` itself, over what is there; for callers that make a whole folder appear at once. */
export async function writeTensorsInPlace(
  file: string,
  tensors: readonly WritableTensor[],
  metadata: Readonly<Record<string, string>>,
): Promise<WrittenFile> {
  const target = await TensorFile.open(file);
  try {
    await target.write(tensors, metadata);
    return await target.finish();
  } finally {
    await target.close();
  }
}

/** A file on its way: `write`, once; then `finish`; `close` in any case. */
export class TensorFile {
  private readonly file: string;
  private readonly handle: FileHandle;
  /** Undefined on tmpfs: the copy there is quick, after which the tensors are free, and the hash is taken of the copy. */
  private readonly hash: Hash | undefined;
  private header: Uint8Array = new Uint8Array(0);
  private tensors: readonly WritableTensor[] = [];
  private sizeBytes = 0;

  private constructor(file: string, handle: FileHandle, hash: Hash | undefined) {
    this.file = file;
    this.handle = handle;
    this.hash = hash;
  }

  static async open(file: string): Promise<TensorFile> {
    const hash = (await isInMemory(path.dirname(file))) ? undefined : createHash('sha256');
    // Not emptied first: the pages of a file that is written over need not be found anew.
    return new TensorFile(file, await open(file, constants.O_RDWR | constants.O_CREAT), hash);
  }

  /** @param tensors when this resolves, only their `again` is still used, where they have one */
  async write(tensors: readonly WritableTensor[], metadata: Readonly<Record<string, string>>): Promise<void> {
    const { bytes, ordered } = encodeHeader(tensors, metadata);
    this.header = bytes;
    this.tensors = ordered;
    await this.writePiece(bytes);
    for (const tensor of ordered) {
      const before = this.sizeBytes;
      for await (const piece of piecesOf(tensor)) await this.writePiece(piece);
      const given = this.sizeBytes - before;
      invariant(given === byteLengthOf(tensor), `${tensor.name} gave ${given} bytes`);
    }
  }

  /** Syncs the file. */
  async finish(): Promise<WrittenFile> {
    const { handle, sizeBytes } = this;
    await handle.truncate(sizeBytes);
    await handle.sync();
    return { sizeBytes, sha256: this.hash?.digest('hex') ?? (await this.hashWritten()) };
  }

  async close(): Promise<void> {
    await this.handle.close();
  }

  /** From the tensors while they are there, which spares a copy; what is missing from the file. */
  private async hashWritten(): Promise<string> {
    const hash = createHash('sha256').update(this.header);
    let position = this.header.length;
    const take = async (piece: Uint8Array): Promise<void> => {
      hash.update(piece);
      position += piece.length;
      // Nothing here waits for a disk: whoever wants the tensors back must be heard in between.
      await setImmediate();
    };
    for (const tensor of this.tensors) {
      const end = position + byteLengthOf(tensor);
      for await (const piece of 'data' in tensor ? [] : (tensor.again?.() ?? [])) await take(piece);
      for (const piece of readPieces(this.file, this.handle, position, end)) await take(piece);
    }
    return hash.digest('hex');
  }

  private async writePiece(piece: Uint8Array): Promise<void> {
    const writing = writeFully(this.handle, piece);
    // Runs while the thread pool writes; a failure of the write must not go unhandled should hashing throw.
    writing.catch(() => undefined);
    this.hash?.update(piece);
    await writing;
    this.sizeBytes += piece.length;
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

async function writeFully(handle: FileHandle, piece: Uint8Array): Promise<void> {
  let done = 0;
  while (done < piece.length) {
    const { bytesWritten } = await handle.write(piece, done, piece.length - done);
    done += bytesWritten;
  }
}
