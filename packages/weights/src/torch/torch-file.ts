// Opens a `.pt` file (zip archives of PyTorch 1.6 and later, TorchScript's too, and the form before): the pickled object as data, and its tensors as
// places in the file. The file's pickle is never executed, and tensors are only read when they are asked for.
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { locateData, readZipDirectory, SlipError, type ZipArchive, type ZipEntry } from '@slip/core';
import { PickleInput, type PickleValue, type TorchTensor, torchStorage, unpickle } from '@slip/pickle';
import { readRange, type StoredTensor } from '../stored-tensor.js';
import { isLegacy, readLegacy } from './legacy-file.js';
import { locateTensor } from './tensor-place.js';

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
  /** Reads every byte. Names the entries whose checksum differs, and how many there are in all: none in the old form. */
  checkSums(onBytes?: (bytes: number) => void): Promise<{ wrong: readonly string[]; entries: number }>;
  close(): Promise<void>;
}

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
  if (await startsAsLegacy(file, handle)) return openLegacy(file, handle, size);
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
    tensor(name, tensor) {
      const place = places.get(`${root}/data/${tensor.storage.key}`);
      const found = place === undefined ? undefined : { begin: place.begin, bytes: place.entry.sizeBytes };
      return locateTensor(file, handle, name, tensor, found);
    },
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

async function openLegacy(file: string, handle: FileHandle, size: number): Promise<TorchFile> {
  const unknown = new Set<string>();
  const sizes = { file: size, limit: MAX_PICKLE_BYTES };
  const { root, places } = await readLegacy(file, handle, sizes, (name) => unknown.add(name));
  return {
    path: file,
    root,
    unknownNames: [...unknown].sort(),
    script: false,
    sizeBytes: size,
    tensor: (name, tensor) => locateTensor(file, handle, name, tensor, places.get(tensor.storage.key)),
    checkSums: async () => ({ wrong: [], entries: 0 }),
    close: () => handle.close(),
  };
}

/** @throws SlipError `checkpoint` for a file that is in none of the two forms */
async function startsAsLegacy(file: string, handle: FileHandle): Promise<boolean> {
  const start = Buffer.alloc(16);
  const { bytesRead } = await handle.read(start, 0, 16, 0);
  if (bytesRead === 0) throw new SlipError('checkpoint', `${file} is empty`);
  if (start.readUInt32LE(0) === 0x04034b50) return false;
  if (isLegacy(start)) return true;
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
