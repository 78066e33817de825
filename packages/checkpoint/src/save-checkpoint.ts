// Saving a checkpoint so that a crash at any instant leaves the previous one or the new one: everything is written and
// synced under a temporary name, COMMIT last, then renamed. Also what follows a save: `latest`, retention, `best`.
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { invariant, type Logger, SlipError, syncFolder } from '@slip/core';
import { removedName, replacedName, roleOf, stepName, temporaryName } from './folder-names.js';
import { clearLeftovers } from './leftovers.js';
import {
  COMMIT_NAME,
  encodeCommit,
  encodeManifest,
  type JsonObject,
  MANIFEST_NAME,
  type ManifestShard,
} from './manifest.js';
import type { WritableTensor } from './named-tensor.js';
import { readPointer, setPointer } from './pointer.js';
import { planRetention, type StoredCheckpoint } from './retention.js';
import { writeTensorsInPlace } from './safetensors-write.js';
import { verifyFolder } from './verify-folder.js';

export interface SaveOptions {
  /** Optimizer steps applied; names the folder. */
  readonly step: number;
  /** Tensors by logical file name, such as `model` and `optimizer`; borrowed until the save resolves. */
  readonly files: Readonly<Record<string, readonly WritableTensor[]>>;
  /** Facts to continue from; numbers come back bit for bit, those that JSON cannot hold are refused. */
  readonly state: JsonObject;
  /** How many of the newest to keep, at least 1. */
  readonly keepLast: number;
  /** Keeps others besides, for example every tenth. */
  readonly keep?: (step: number) => boolean;
  /** Told of what went wrong after the new checkpoint was safe. */
  readonly log?: Logger;
}

export interface SavedCheckpoint {
  readonly path: string;
  /** Size of all its files. */
  readonly bytes: number;
  /** Milliseconds until it was safe on disk. */
  readonly writeMs: number;
}

/**
 * Writes `<folder>/step-00000123`. One save at a time in a folder. A checkpoint of the same step is replaced.
 * @param folder `<run>/checkpoints`; made if needed
 * @throws SlipError `checkpoint` when the disk is full or fails: nothing half-written stays and the previous checkpoint
 *   is as it was
 */
export async function saveCheckpoint(folder: string, options: SaveOptions): Promise<SavedCheckpoint> {
  const { step } = options;
  invariant(Number.isSafeInteger(step) && step >= 0, `a checkpoint of step ${step}`);
  const startedAt = performance.now();
  const temporary = path.join(folder, temporaryName(step, process.pid, os.hostname()));
  const place = path.join(folder, stepName(step));
  let bytes: number;
  try {
    await mkdir(folder, { recursive: true });
    await clearLeftovers(folder, os.hostname());
    await mkdir(temporary);
    bytes = await writeFolder(temporary, options);
    await putInPlace(folder, step, temporary);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw error instanceof SlipError ? error : await saveFailure(folder, step, error);
  }
  const writeMs = performance.now() - startedAt;
  await tidyUp(folder, options).catch((error: Error) => {
    options.log?.warn(`checkpoint ${place} is saved, but tidying up after it failed: ${error.message}`);
  });
  return { path: place, bytes, writeMs };
}

/**
 * Points `best` at the checkpoint of `step`, which retention then keeps until another one is the best.
 * @throws SlipError `checkpoint` when there is no such checkpoint
 */
export async function markBest(folder: string, step: number): Promise<void> {
  const verdict = await verifyFolder(path.join(folder, stepName(step)), false);
  if ('reason' in verdict) {
    throw new SlipError(
      'checkpoint',
      `${folder} has no usable checkpoint of step ${step} to mark as best: ${verdict.reason}`,
    );
  }
  await setPointer(folder, 'best', stepName(step));
}

/** Everything is on disk before COMMIT says so. Returns the bytes written. */
async function writeFolder(temporary: string, { step, files, state }: SaveOptions): Promise<number> {
  const shards: Record<string, ManifestShard[]> = {};
  let bytes = 0;
  for (const [file, tensors] of Object.entries(files)) {
    invariant(/^[a-z0-9][a-z0-9_-]*$/i.test(file), `a checkpoint file named ${file}`);
    const name = `${file}.safetensors`;
    const written = await writeTensorsInPlace(path.join(temporary, name), tensors, {
      format: 'pt',
      step: String(step),
    });
    shards[file] = [{ name, ...written }];
    bytes += written.sizeBytes;
  }
  const manifest = encodeManifest({ step, createdAt: new Date().toISOString(), files: shards, state });
  await writeSynced(path.join(temporary, MANIFEST_NAME), manifest);
  await syncFolder(temporary);
  const commit = encodeCommit(manifest);
  await writeSynced(path.join(temporary, COMMIT_NAME), commit);
  await syncFolder(temporary);
  return bytes + Buffer.byteLength(manifest) + Buffer.byteLength(commit);
}

async function writeSynced(file: string, text: string): Promise<void> {
  const handle = await open(file, 'w');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A folder cannot be renamed over another: a valid one of this step steps aside first, and counts until the end. */
async function putInPlace(folder: string, step: number, temporary: string): Promise<void> {
  const place = path.join(folder, stepName(step));
  const aside = path.join(folder, replacedName(step));
  const exists = (await stat(place).catch(() => undefined)) !== undefined;
  const valid = exists && 'manifest' in (await verifyFolder(place, false));
  if (exists) await (valid ? rename(place, aside) : rm(place, { recursive: true }));
  try {
    await rename(temporary, place);
  } catch (error) {
    if (valid) await rename(aside, place).catch(() => undefined);
    throw error;
  }
  await syncFolder(folder);
}

async function tidyUp(folder: string, { step, keepLast, keep }: SaveOptions): Promise<void> {
  await setPointer(folder, 'latest', stepName(step));
  await rm(path.join(folder, replacedName(step)), { recursive: true, force: true });
  const best = await readPointer(folder, 'best');
  const leaving = planRetention(await listStored(folder), {
    saved: step,
    keepLast,
    keep: (candidate) => stepName(candidate) === best || keep?.(candidate) === true,
  });
  for (const old of leaving) {
    // Renamed first, so that a deletion cut off half-way does not look like a damaged checkpoint.
    const gone = path.join(folder, removedName(old));
    await rename(path.join(folder, stepName(old)), gone);
    await rm(gone, { recursive: true, force: true });
  }
}

async function listStored(folder: string): Promise<StoredCheckpoint[]> {
  const stored: StoredCheckpoint[] = [];
  for (const name of await readdir(folder)) {
    const role = roleOf(name);
    if (role.kind !== 'checkpoint') continue;
    stored.push({ step: role.step, valid: 'manifest' in (await verifyFolder(path.join(folder, name), false)) });
  }
  return stored;
}

async function saveFailure(folder: string, step: number, cause: unknown): Promise<SlipError> {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  const stored = await listStored(folder).catch(() => []);
  const previous = Math.max(...stored.filter(({ valid }) => valid).map((checkpoint) => checkpoint.step));
  const kept = Number.isFinite(previous)
    ? `the previous checkpoint (step ${previous}) is intact`
    : 'there is no earlier checkpoint';
  return new SlipError(
    'checkpoint',
    `cannot save step ${step} in ${folder}: ${FAILURES[code] ?? message}; ${kept}; ${REMEDIES[code] ?? 'check that storage'} and run again`,
    { cause, details: { step, cause: code } },
  );
}

const FAILURES: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full (ENOSPC)',
  EDQUOT: 'the disk quota is used up (EDQUOT)',
  EIO: 'the disk or its network failed (EIO)',
  EROFS: 'the file system is read-only (EROFS)',
  EACCES: 'permission is denied (EACCES)',
};

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'free some space',
  EDQUOT: 'free some space',
  EACCES: 'make that folder writable',
};
