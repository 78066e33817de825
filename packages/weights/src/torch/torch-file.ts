// Opens a `.pt` file (PyTorch 1.6 and later, TorchScript archives too): the pickled object as data, and its tensors as
// places in the file. The file's pickle is never executed, and tensors are only read when they are asked for.
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { locateData, readZipDirectory, SlipError, type ZipArchive, type ZipEntry } from '@slip/core';
import {
  PickleInput,
  type PickleValue,
  TORCH_ELEMENT_BYTES,
  type TorchTensor,
  torchStorage,
  unpickle,
} from '@slip/pickle';
import { countElements, type ElementType, readRange, type StoredTensor, tensorInFile } from '../stored-tensor.js';
import { gatherStrided, isContiguous } from './strides.js';

export interface TorchFile {
  readonly path: string;
  /** What was given to `torch.save`. */
  readonly root: PickleValue;
  /** Names in the pickle that are not on the list of known ones; harmless here, a warning to those who load it in Python. */
  readonly unknownNames: readonly string[];
  /** Whether it is a TorchScript archive, whose root is a module. */
  readonly script: boolean;
  readonly sizeBytes: number;
  /** @throws SlipError `checkpoint` when the archive lacks or truncates its storage */
  tensor(name: string, tensor: TorchTensor): StoredTensor;
  /** Reads every byte. Names the entries whose checksum differs, and how many there are in all. */
  checkSums(onBytes?: (bytes: number) => void): Promise<{ wrong: readonly string[]; entries: number }>;
  close(): Promise<void>;
}

const TYPES: Readonly<Record<string, ElementType>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
};

/** Larger descriptions than this are no checkpoints: those of the largest models take a few MiB. */
const MAX_PICKLE_BYTES = 512 << 20;

/** @throws SlipError `checkpoint` when it cannot be opened, is damaged, or is not such a file */
export async function openTorchFile(file: string): Promise<TorchFile> {
  const handle = await open(file, 'r').catch((error: Error) => {
    throw new SlipError('checkpoint', `cannot open ${file}: ${error.message}`, { cause: error });
  });
  try {
    return await readTorchFile(file, handle);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function readTorchFile(file: string, handle: FileHandle): Promise<TorchFile> {
  const { size } = await handle.stat();
  await refuseOtherFormats(file, handle);
  const archive: ZipArchive = { file, handle, bytes: size, errorCode: 'checkpoint' };
  const entries = await readZipDirectory(archive);
  const pickleEntry = entries.find(({ name }) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickleEntry === undefined) {
    throw new SlipError('checkpoint', `${file} is a zip archive without data.pkl, so PyTorch did not write it`);
  }
  const root = pickleEntry.name.slice(0, -'/data.pkl'.length);
  const places = new Map<string, { begin: number; entry: ZipEntry }>();
  for (const entry of entries) {
    if (entry !== pickleEntry && !entry.name.startsWith(`${root}/data/`)) continue;
    refuseCompressed(file, entry);
    places.set(entry.name, { begin: await locateData(archive, entry), entry });
  }
  await refuseBigEndian(archive, entries, root);
  const unknown = new Set<string>();
  const value = readPickle(file, handle, places.get(pickleEntry.name)!, unknown);
  return {
    path: file,
    root: value,
    unknownNames: [...unknown].sort(),
    script: entries.some(({ name }) => name === `${root}/constants.pkl`),
    sizeBytes: size,
    tensor: (name, tensor) =>
      locateTensor(file, handle, name, tensor, places.get(`${root}/data/${tensor.storage.key}`)),
    async checkSums(onBytes) {
      const wrong: string[] = [];
      for (const { begin, entry } of places.values()) {
        let sum = 0;
        for await (const piece of readRange(file, handle, begin, begin + entry.storedBytes)) {
          sum = crc32(piece, sum);
          onBytes?.(piece.length);
        }
        if (sum !== entry.crc32) wrong.push(entry.name);
      }
      return { wrong, entries: places.size };
    },
    close: () => handle.close(),
  };
}

async function refuseOtherFormats(file: string, handle: FileHandle): Promise<void> {
  const start = Buffer.alloc(16);
  const { bytesRead } = await handle.read(start, 0, 16, 0);
  if (bytesRead === 0) throw new SlipError('checkpoint', `${file} is empty`);
  if (start.readUInt32LE(0) === 0x04034b50) return;
  // The number that torch.save wrote first until version 1.5: 0x1950a86a20f9469cfc6c.
  if (start.includes(Buffer.from('6cfc9c46f9206aa85019', 'hex'))) {
    throw new SlipError(
      'checkpoint',
      `${file} has PyTorch's format from before version 1.6, which is not read here; rewrite it once in Python with ` +
        `torch.save(torch.load(path, map_location='cpu'), new_path)`,
    );
  }
  throw new SlipError(
    'checkpoint',
    `${file} is not a PyTorch file: it begins with ${start.subarray(0, Math.min(4, bytesRead)).toString('hex')} ` +
      'instead of a zip header; was the download a web page?',
  );
}

function refuseCompressed(file: string, entry: ZipEntry): void {
  if (entry.method === 0 && entry.sizeBytes === entry.storedBytes) return;
  throw new SlipError(
    'checkpoint',
    `${file} has its entry ${entry.name} compressed, which PyTorch never does; unpack it and save it with PyTorch again`,
  );
}

async function refuseBigEndian(archive: ZipArchive, entries: readonly ZipEntry[], root: string): Promise<void> {
  const { file, handle } = archive;
  const entry = entries.find(({ name }) => name === `${root}/byteorder`);
  if (entry === undefined || entry.storedBytes > 16) return;
  const begin = await locateData(archive, entry);
  const text = Buffer.alloc(entry.storedBytes);
  await handle.read(text, 0, text.length, begin);
  if (text.toString('latin1').trim() === 'big') {
    throw new SlipError(
      'unsupported',
      `${file} was written on a big-endian machine; only little-endian files are read`,
    );
  }
}

function readPickle(
  file: string,
  handle: FileHandle,
  { begin, entry }: { begin: number; entry: ZipEntry },
  unknown: Set<string>,
): PickleValue {
  if (entry.sizeBytes > MAX_PICKLE_BYTES) {
    throw new SlipError('checkpoint', `${file} describes its tensors in ${entry.sizeBytes} bytes; no checkpoint does`);
  }
  const origin = { file: `${file} (${entry.name})`, errorCode: 'checkpoint' } as const;
  return unpickle(PickleInput.fromFile(handle.fd, begin, entry.sizeBytes, origin), {
    persistent: torchStorage,
    onUnknownGlobal: (name) => unknown.add(name),
  });
}

function locateTensor(
  file: string,
  handle: FileHandle,
  name: string,
  { storage, offset, shape, strides }: TorchTensor,
  place: { begin: number; entry: ZipEntry } | undefined,
): StoredTensor {
  if (place === undefined) {
    throw new SlipError('checkpoint', `${file} has no data for ${name} (storage ${storage.key}); it is damaged`);
  }
  const width = TORCH_ELEMENT_BYTES[storage.dtype];
  if (place.entry.sizeBytes < storage.length * width) {
    throw new SlipError(
      'checkpoint',
      `${file} has ${place.entry.sizeBytes} bytes for the ${storage.length} elements of ${storage.dtype} of ${name}`,
    );
  }
  const description = { name, dtype: TYPES[storage.dtype], shape };
  if (countElements(shape) > storage.length) {
    throw new SlipError('checkpoint', `${name} in ${file} repeats its elements (an expanded view); save a copy of it`);
  }
  const begin = place.begin + offset * width;
  if (isContiguous(shape, strides)) {
    return tensorInFile(file, handle, description, begin, begin + countElements(shape) * width);
  }
  return gatherStrided(file, handle, description, begin, strides);
}
