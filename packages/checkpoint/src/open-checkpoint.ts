// Opening checkpoints for reading: one by its path, or the newest of a run that verifies. Never writes.
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { type Logger, SlipError } from '@slip/core';
import { roleOf } from './folder-names.js';
import type { JsonObject, Manifest, ManifestShard } from './manifest.js';
import type { SafetensorsEntry } from './safetensors-header.js';
import { readSafetensorsHeader, readSafetensorsInto, type TensorResolver } from './safetensors-read.js';
import { verifyFolder } from './verify-folder.js';

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
}

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
 * The newest checkpoint of a run whose contents verify. Each newer one that does not is reported by one warning.
 * @param folder `<run>/checkpoints`; need not exist
 * @returns undefined where nothing was saved yet
 * @throws SlipError `checkpoint` when there are checkpoints but none of them can be used, because starting again from
 *   step 0 is not what the owner of such a run expects, and when the newest one has a newer format
 */
export async function findLatestCheckpoint(folder: string, options: { log: Logger }): Promise<Checkpoint | undefined> {
  const candidates = await listCandidates(folder);
  const reasons: string[] = [];
  for (const name of candidates) {
    const candidate = path.join(folder, name);
    const verdict = await verifyFolder(candidate, true);
    if ('manifest' in verdict) return readableCheckpoint(candidate, verdict.manifest);
    reasons.push(verdict.reason);
    options.log.warn(`checkpoint ${candidate} is damaged and was skipped: ${verdict.reason}`);
  }
  if (candidates.length === 0) return undefined;
  throw new SlipError(
    'checkpoint',
    `none of the ${candidates.length} checkpoints in ${folder} can be used (newest: ${reasons[0]}); ` +
      'restore them, or move that folder away to start from the beginning',
  );
}

/** Newest first. A checkpoint moved aside by a save that was cut off comes after the one that should replace it. */
async function listCandidates(folder: string): Promise<string[]> {
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
    .map(({ name }) => name);
}

/** Follows `latest` where it is a file because the file system has no links. */
async function resolveFolder(folderPath: string): Promise<string> {
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
  const places = new Map<string, readonly TensorPlace[]>();
  for (const [file, shards] of Object.entries(manifest.files)) {
    const found = await Promise.all(
      shards.map(async (shard) => {
        const shardPath = path.join(folder, shard.name);
        const { tensors } = await readSafetensorsHeader(shardPath);
        return tensors.map((entry) => ({ path: shardPath, entry }));
      }),
    );
    places.set(file, found.flat());
  }
  const shardsOf = (file: string): readonly ManifestShard[] => {
    const shards = Object.hasOwn(manifest.files, file) ? manifest.files[file] : undefined;
    if (shards !== undefined) return shards;
    throw new SlipError(
      'checkpoint',
      `${folder} has no file ${file}; it has ${[...places.keys()].join(', ') || 'none'}`,
    );
  };
  return {
    path: folder,
    step: manifest.step,
    state: manifest.state,
    files: [...places.keys()],
    tensorNames(file) {
      shardsOf(file);
      return (places.get(file) ?? []).map(({ entry }) => entry.name);
    },
    places(file) {
      shardsOf(file);
      return places.get(file) ?? [];
    },
    async readInto(file, resolve) {
      for (const { name } of shardsOf(file)) await readSafetensorsInto(path.join(folder, name), resolve);
    },
  };
}
