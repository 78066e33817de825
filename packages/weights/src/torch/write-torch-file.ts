// Writes a `.pt` file as `torch.save` does: atomically, tensor by tensor, whatever its size.
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { checkFreeSpace, SlipError, syncFolder } from '@slip/core';
import { type Picklable, pickle, python } from '@slip/pickle';
import { countElements, type ElementType, type StoredTensor } from '../stored-tensor.js';
import { ZipWriter } from './zip-writer.js';

const STORAGES: Readonly<Record<ElementType, string>> = {
  F64: 'DoubleStorage',
  F32: 'FloatStorage',
  F16: 'HalfStorage',
  BF16: 'BFloat16Storage',
  I64: 'LongStorage',
  I32: 'IntStorage',
  I16: 'ShortStorage',
  I8: 'CharStorage',
  U8: 'ByteStorage',
  BOOL: 'BoolStorage',
};

/** Every file has the same folder inside, so that equal contents make equal files. */
const ROOT = 'archive';

export type WriteProgress = (doneBytes: number, totalBytes: number) => void;

/**
 * Replaces `file` atomically and durably; a failed write leaves the old file and nothing else.
 * @param build makes the object to be saved; gives each tensor in it to `tensor`, once
 * @returns the size of the file in bytes
 * @throws SlipError `checkpoint` when the disk is full or fails
 */
export async function writeTorchFile(
  file: string,
  build: (tensor: (stored: StoredTensor) => Picklable) => Picklable,
  onProgress?: WriteProgress,
): Promise<number> {
  const storages: StoredTensor[] = [];
  const document = pickle(
    build((stored) => {
      storages.push(stored);
      return tensorExpression(stored, String(storages.length - 1));
    }),
  );
  const totalBytes = storages.reduce((sum, { byteLength }) => sum + byteLength, document.length);
  await checkFreeSpace(file, totalBytes);
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}.tmp`);
  try {
    const bytes = await writeArchive(temporary, document, storages, totalBytes, onProgress);
    await rename(temporary, file);
    await syncFolder(path.dirname(file));
    return bytes;
  } catch (error) {
    await rm(temporary, { force: true });
    if (error instanceof SlipError || (error as NodeJS.ErrnoException).code === undefined) throw error;
    throw new SlipError('checkpoint', `cannot write ${file}: ${(error as Error).message}; nothing of it was kept`, {
      cause: error,
    });
  }
}

async function writeArchive(
  temporary: string,
  document: Uint8Array,
  storages: readonly StoredTensor[],
  totalBytes: number,
  onProgress: WriteProgress | undefined,
): Promise<number> {
  const handle = await open(temporary, 'w');
  try {
    const zip = new ZipWriter(handle);
    let done = 0;
    const advance = (bytes: number): void => {
      done += bytes;
      onProgress?.(done, totalBytes);
    };
    await zip.add(`${ROOT}/data.pkl`, document.length, [document], advance);
    for (const [key, stored] of storages.entries()) {
      await zip.add(`${ROOT}/data/${key}`, stored.byteLength, stored.chunks(), advance);
    }
    await zip.add(`${ROOT}/version`, 2, [Buffer.from('3\n')]);
    const bytes = await zip.finish();
    await handle.sync();
    return bytes;
  } finally {
    await handle.close();
  }
}

function tensorExpression({ dtype, shape }: StoredTensor, key: string): Picklable {
  const count = countElements(shape);
  const storage = python.global('torch', STORAGES[dtype]);
  const strides = shape.map((_, axis) => countElements(shape.slice(axis + 1)));
  return python.call(python.global('torch._utils', '_rebuild_tensor_v2'), [
    python.persistent(python.tuple('storage', storage, key, 'cpu', count)),
    0,
    python.tuple(...shape),
    python.tuple(...strides),
    false,
    python.orderedDict(new Map()),
  ]);
}
