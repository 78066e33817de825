// The form that torch.save had until PyTorch 1.5: five pickles in a row (magic number, version, machine, object, keys of the
// storages), then each storage as its number of elements and its bytes. It has no checksums.
import type { FileHandle } from 'node:fs/promises';
import { SlipError } from '@slip/core';
import {
  PickleInput,
  type PickleValue,
  TORCH_ELEMENT_BYTES,
  type TorchStorage,
  torchStorage,
  unpickle,
} from '@slip/pickle';
import type { StoragePlace } from './tensor-place.js';

export interface LegacyContent {
  readonly root: PickleValue;
  /** By storage key. */
  readonly places: ReadonlyMap<string, StoragePlace>;
}

/** 0x1950a86a20f9469cfc6c, as the first pickle has it. */
const MAGIC = Buffer.from('6cfc9c46f9206aa85019', 'hex');
const FORMAT_VERSION = 1001;

/** @param start the first bytes of the file, 16 or more */
export function isLegacy(start: Buffer): boolean {
  return start.includes(MAGIC);
}

/**
 * @param limit the most bytes that the pickles may take
 * @throws SlipError `checkpoint` when the file is damaged, `unsupported` for what only such a file can say
 */
export async function readLegacy(
  file: string,
  handle: FileHandle,
  sizes: { readonly file: number; readonly limit: number },
  onUnknownGlobal: (name: string) => void,
): Promise<LegacyContent> {
  const input = PickleInput.fromFile(handle.fd, 0, Math.min(sizes.file, sizes.limit), {
    file,
    errorCode: 'checkpoint',
  });
  const storages = new Map<string, TorchStorage>();
  unpickle(input);
  const version = unpickle(input);
  if (version !== FORMAT_VERSION) {
    throw new SlipError('unsupported', `${file} has version ${String(version)} of PyTorch's old format, not 1001`);
  }
  refuseBigEndian(file, unpickle(input));
  const root = unpickle(input, {
    onUnknownGlobal,
    persistent(id, fail) {
      if (Array.isArray(id) && id[0] === 'module') return id[1] ?? null;
      if (Array.isArray(id) && (id[5] ?? null) !== null) return fail('has a storage that is a view of another one');
      const storage = torchStorage(id, fail);
      storages.set(storage.key, storage);
      return storage;
    },
  });
  const keys = unpickle(input);
  return { root, places: await locateStorages(file, handle, keys, storages, input.offset, sizes.file) };
}

function refuseBigEndian(file: string, machine: PickleValue): void {
  if (machine instanceof Map && machine.get('little_endian') === false) {
    throw new SlipError(
      'unsupported',
      `${file} was written on a big-endian machine; only little-endian files are read`,
    );
  }
}

async function locateStorages(
  file: string,
  handle: FileHandle,
  keys: PickleValue,
  storages: ReadonlyMap<string, TorchStorage>,
  begin: number,
  fileBytes: number,
): Promise<Map<string, StoragePlace>> {
  if (!Array.isArray(keys)) throw new SlipError('checkpoint', `${file} does not list its storages; it is damaged`);
  const places = new Map<string, StoragePlace>();
  const count = Buffer.alloc(8);
  let position = begin;
  for (const key of keys) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    const { bytesRead } = await handle.read(count, 0, 8, position);
    const elements = bytesRead === 8 ? Number(count.readBigInt64LE()) : -1;
    if (storage === undefined || elements !== storage.length) {
      throw new SlipError(
        'checkpoint',
        `${file} is damaged at byte ${position}: storage ${String(key)} should begin there with ${storage?.length ?? 'an unknown number of'} elements`,
      );
    }
    const place = { begin: position + 8, bytes: elements * TORCH_ELEMENT_BYTES[storage.dtype] };
    position = place.begin + place.bytes;
    if (position > fileBytes) {
      throw new SlipError('checkpoint', `${file} ends within storage ${storage.key}; was the download cut off?`);
    }
    places.set(storage.key, place);
  }
  return places;
}
