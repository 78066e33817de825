// Where the bytes of an image come from: a file, a member of a zip archive, or a stretch of a tar shard.
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { SlipError } from '@slip/core';

export interface ImageSource {
  /** For messages: the path, and behind a `#` the member of an archive. */
  readonly name: string;
  /** The encoded file. @throws SlipError `data` naming it */
  bytes(): Promise<Uint8Array>;
}

/** Encoded pictures are far smaller; what is larger is not read into memory. */
export const MAX_IMAGE_BYTES = 256 << 20;

export function fileImage(file: string): ImageSource {
  return { name: file, bytes: () => readWholeFile(file) };
}

export function rangeImage(file: string, begin: number, length: number, member: string): ImageSource {
  const name = `${file}#${member}`;
  return { name, bytes: () => withFile(file, name, (handle) => readRange(handle, begin, length, name)) };
}

/** @throws SlipError `data` for whatever the system says, naming the image */
export async function withFile<T>(file: string, name: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, 'r');
    return await use(handle);
  } catch (error) {
    if (error instanceof SlipError) throw error;
    throw unreadable(name, (error as Error).message, error);
  } finally {
    await handle?.close();
  }
}

/** @throws SlipError `data` when the file ends before */
export async function readRange(handle: FileHandle, begin: number, length: number, name: string): Promise<Buffer> {
  if (length > MAX_IMAGE_BYTES) throw unreadable(name, `it has ${length} bytes; at most ${MAX_IMAGE_BYTES} are read`);
  const bytes = Buffer.allocUnsafe(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, begin + done);
    if (bytesRead === 0) throw unreadable(name, 'the archive ends in the middle of it');
    done += bytesRead;
  }
  return bytes;
}

export function unreadable(name: string, why: string, cause?: unknown): SlipError {
  return new SlipError('data', `the image ${name} cannot be read: ${why}`, cause === undefined ? {} : { cause });
}

async function readWholeFile(file: string): Promise<Uint8Array> {
  return readFile(file).catch((error: Error) => {
    throw unreadable(file, error.message, error);
  });
}
