// Opening checkpoints for reading: one by its path, or the newest of a run that verifies. Never writes.
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { type Logger, SlipError } from '@slip/core';
import { roleOf } from './folder-names.js';
import type { JsonObject, Manifest, ManifestShard } from './manifest.js';
import type { SafetensorsEntry } from './safetensors-header.js';
import { partsOfFile, readSafetensorsHeader, readSafetensorsInto, type TensorResolver } from './safetensors-read.js';
import { checkShard, verifyFolder } from './verify-folder.js';

export interface TensorPlace {
  readonly path: string;
  readonly entry: SafetensorsEntry;
}

/** A checkpoint on disk; holds no tensors and no open files. */
export interface Checkpoint {
  /** Its folder. */
  readonly path: string;
  readonly step: number;
  /** The facts given to `saveCheckpoint`. */
  readonly state: JsonObject;
  /** Logical names, such as `model` and `optimizer`. */
  readonly files: readonly string[];
  /** @throws SlipError `checkpoint` when there is no such file */
  tensorNames(file: string): readonly string[];
  /** Where each tensor of a file is on disk. @throws SlipError `checkpoint` when there is no such file */
  places(file: string): readonly TensorPlace[];
  /** See `readSafetensorsInto`. */
  readInto(file: string, resolve: TensorResolver): Promise<void>;
  /** The files on disk that together hold a file. @throws SlipError `checkpoint` when there is no such file */
  shards(file: string): readonly Shard[];
}

/** One file on disk, for readers that divide the work of reading and verifying among them. */
export interface Shard {
  readonly sizeBytes: number;
  /** Fills the arrays that `resolve` names; nothing is verified. See `readSafetensorsInto`. */
  readInto(resolve: TensorResolver): Promise<void>;
  /**
   * The same, but every byte is read and compared with the manifest's SHA-256 on the way.
   * @returns what is wrong with the file, for people; the arrays hold something then, but not what was saved
   */
  readVerified(resolve: TensorResolver): Promise<string | undefined>;
}

export type Opened = Checkpoint | { readonly reason: string };

/**
 * @param folderPath a `step-...` folder, or `latest` or `best`
 * @param options.verify also compare every file's SHA-256 (reads all of it); otherwise COMMIT, manifest and sizes only
 * @throws SlipError `checkpoint` when it is missing, damaged or of a newer format
 */
export async function openCheckpoint(folderPath: string, options: { verify: boolean }): Promise<Checkpoint> {
  const folder = await resolveFolder(folderPath);
  const verdict = await verifyFolder(folder, options.verify);
  if ('reason' in verdict) throw new SlipError('checkpoint', `${folder} cannot be used: ${verdict.reason}`);
  return readableCheckpoint(folder, verdict.manifest);
}

/**
 * Looks at COMMIT, manifest, sizes and headers only.
 * @returns the checkpoint, or why it cannot be used
 * @throws SlipError `checkpoint` when it has a newer format
 */
export async function tryCheckpoint(folder: string): Promise<Opened> {
  const verdict = await verifyFolder(folder, false);
  if ('reason' in verdict) return verdict;
  try {
    return await readableCheckpoint(folder, verdict.manifest);
  } catch (error) {
    if (error instanceof SlipError) return { reason: error.message };
    throw error;
  }
}

/**
 * The newest checkpoint of a run whose contents verify. Each newer one that does not is reported by one warning.
 * @param folder `<run>/checkpoints`; need not exist
 * @returns undefined where nothing was saved yet
 * @throws SlipError `checkpoint` when there are checkpoints but none of them can be used, because starting again from
 *   step 0 is not what the owner of such a run expects, and when the newest one has a newer format
 */
export async function findLatestCheckpoint(folder: string, options: { log: Logger }): Promise<Checkpoint | undefined> {
  return firstUsable(folder, await listCheckpoints(folder), { ...options, open: openVerified });
}

/**
 * `findLatestCheckpoint` for those who open checkpoints in their own way, reading them on the way.
 * @param paths as `listCheckpoints` gives them
 */
export async function firstUsable(
  folder: string,
  paths: readonly string[],
  { open, log }: { open(path: string): Promise<Opened>; log: Logger },
): Promise<Checkpoint | undefined> {
  const reasons: string[] = [];
  for (const candidate of paths) {
    const opened = await open(candidate);
    if (!('reason' in opened)) return opened;
    reasons.push(opened.reason);
    log.warn(`checkpoint ${candidate} is damaged and was skipped: ${opened.reason}`);
  }
  if (paths.length === 0) return undefined;
  throw new SlipError(
    'checkpoint',
    `none of the ${paths.length} checkpoints in ${folder} can be used (newest: ${reasons[0]}); ` +
      'restore them, or move that folder away to start from the beginning',
  );
}

/**
 * Paths of the checkpoints of a run, newest first. One moved aside by a save that was cut off comes after the one that should
 * replace it.
 */
export async function listCheckpoints(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new SlipError('checkpoint', `cannot list ${folder}: ${error.message}`, { cause: error });
  });
  return names
    .flatMap((name) => {
      const role = roleOf(name);
      return role.kind === 'checkpoint' || role.kind === 'replaced' ? [{ name, ...role }] : [];
    })
    .sort((a, b) => b.step - a.step || a.kind.localeCompare(b.kind))
    .map(({ name }) => path.join(folder, name));
}

async function openVerified(folder: string): Promise<Opened> {
  const verdict = await verifyFolder(folder, true);
  return 'manifest' in verdict ? readableCheckpoint(folder, verdict.manifest) : verdict;
}

/**
 * A folder as it is; follows `latest` where it is a file because the file system has no links.
 * @throws SlipError `checkpoint` when it is neither
 */
export async function resolveFolder(folderPath: string): Promise<string> {
  const status = await stat(folderPath).catch(() => undefined);
  if (status?.isDirectory()) return folderPath;
  if (status?.isFile()) {
    const target = path.join(path.dirname(folderPath), path.basename((await readFile(folderPath, 'utf8')).trim()));
    if ((await stat(target).catch(() => undefined))?.isDirectory()) return target;
  }
  throw new SlipError(
    'checkpoint',
    `${folderPath} is not a checkpoint folder (such as <run>/checkpoints/step-00000100)`,
  );
}

async function readableCheckpoint(folder: string, manifest: Manifest): Promise<Checkpoint> {
  const files = new Map<string, readonly OpenShard[]>();
  for (const [file, shards] of Object.entries(manifest.files)) {
    files.set(file, await Promise.all(shards.map((shard) => openShard(folder, shard))));
  }
  const shardsOf = (file: string): readonly OpenShard[] => {
    const shards = files.get(file);
    if (shards !== undefined) return shards;
    throw new SlipError(
      'checkpoint',
      `${folder} has no file ${file}; it has ${[...files.keys()].join(', ') || 'none'}`,
    );
  };
  const placesOf = (file: string) => shardsOf(file).flatMap(({ places }) => places);
  return {
    path: folder,
    step: manifest.step,
    state: manifest.state,
    files: [...files.keys()],
    tensorNames: (file) => placesOf(file).map(({ entry }) => entry.name),
    places: placesOf,
    shards: shardsOf,
    async readInto(file, resolve) {
      for (const shard of shardsOf(file)) await shard.readInto(resolve);
    },
  };
}

interface OpenShard extends Shard {
  readonly places: readonly TensorPlace[];
}

async function openShard(folder: string, shard: ManifestShard): Promise<OpenShard> {
  const file = path.join(folder, shard.name);
  const header = await readSafetensorsHeader(file);
  return {
    sizeBytes: shard.sizeBytes,
    places: header.tensors.map((entry) => ({ path: file, entry })),
    readInto: (resolve) => readSafetensorsInto(file, resolve),
    readVerified: async (resolve) => checkShard(folder, shard, partsOfFile(file, header, resolve)),
  };
}
