// The stages of a save, for one process or several that write shards side by side: everything is written and synced under a
// temporary name, COMMIT last, then renamed. Also what follows a save: `latest`, retention, `best`.
import { mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { type Logger, SlipError, syncFolder } from '@slip/core';
import { removedName, replacedName, roleOf, spareName, stepName, temporaryName } from './folder-names.js';
import { clearLeftovers } from './leftovers.js';
import {
  COMMIT_NAME,
  encodeCommit,
  encodeManifest,
  type JsonObject,
  MANIFEST_NAME,
  type ManifestShard,
} from './manifest.js';
import { canMapFiles } from './mapped-files.js';
import { readPointer, setPointer } from './pointer.js';
import { planRetention, type StoredCheckpoint } from './retention.js';
import { dropUnwritten, spareBytes, takeSpares } from './spare-files.js';
import { verifyFolder } from './verify-folder.js';

/** What goes on record with the files of a checkpoint, and what may leave once it is safe. */
export interface CommitOptions {
  /** Optimizer steps applied; names the folder. */
  readonly step: number;
  /** Facts to continue from; numbers come back bit for bit, those that JSON cannot hold are refused. */
  readonly state: JsonObject;
  /** How many of the newest to keep, at least 1. */
  readonly keepLast: number;
  /** Keeps others besides, for example every tenth. */
  readonly keep?: (step: number) => boolean;
  /** Another save by `ShardWriter` follows, and after the last one `dropSpares`: where it is faster, files that may leave are kept for it. */
  readonly isOneOfMany?: boolean;
  /** Told of what went wrong after the new checkpoint was safe. */
  readonly log?: Logger;
}

export interface CommittedSave {
  readonly path: string;
  /** Size of all its files. */
  readonly bytes: number;
  /** Resolves when what it replaces is gone, which takes a while and holds up nobody. Never rejects. */
  readonly cleared: Promise<void>;
}

/** Room that a file system needs beside the tensors: headers, manifest, its own tables. */
const OTHER_BYTES = 64 << 10;

/**
 * Makes the temporary folder into which shards of `step` are written by `ShardWriter`, after what dead saves left has gone. It may hold
 * files to be written over. One save at a time in a folder.
 * @param folder `<run>/checkpoints`; made if needed
 * @param bytes how much will be written; refused here where the disk has less, rather than half-way
 * @throws the system's own error
 */
export async function beginSave(folder: string, step: number, bytes: number): Promise<string> {
  const temporary = path.join(folder, temporaryName(step, process.pid, os.hostname()));
  await mkdir(folder, { recursive: true });
  await clearLeftovers(folder, os.hostname());
  await checkRoom(folder, bytes + OTHER_BYTES - (await spareBytes(folder)));
  await mkdir(temporary);
  await takeSpares(folder, temporary);
  return temporary;
}

/**
 * Puts a checkpoint in place whose shards are all written and synced in `temporary`.
 * @throws the system's own error, before which nothing has changed
 */
export async function commitSave(
  folder: string,
  temporary: string,
  shards: Readonly<Record<string, readonly ManifestShard[]>>,
  options: CommitOptions,
): Promise<CommittedSave> {
  const { step, state } = options;
  const place = path.join(folder, stepName(step));
  await dropUnwritten(
    temporary,
    new Set(
      Object.values(shards)
        .flat()
        .map(({ name }) => name),
    ),
  );
  const manifest = encodeManifest({ step, createdAt: new Date().toISOString(), files: shards, state });
  await writeSynced(path.join(temporary, MANIFEST_NAME), manifest);
  await syncFolder(temporary);
  const commit = encodeCommit(manifest);
  await writeSynced(path.join(temporary, COMMIT_NAME), commit);
  await syncFolder(temporary);
  await putInPlace(folder, step, temporary);
  const warn = (error: Error) =>
    options.log?.warn(`checkpoint ${place} is saved, but tidying up after it failed: ${error.message}`);
  const gone = await tidyUp(folder, options).catch((error: Error) => {
    warn(error);
    return [];
  });
  const tensorBytes = Object.values(shards)
    .flat()
    .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return {
    path: place,
    bytes: tensorBytes + Buffer.byteLength(manifest) + Buffer.byteLength(commit),
    cleared: removeAll(gone).catch(warn),
  };
}

/** Nothing half-written stays. Never fails. */
export async function abandonSave(temporary: string): Promise<void> {
  await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
}

/** Points `latest` at the checkpoint of `step`: its save may have been cut off right before. Never fails. */
export async function markLatest(folder: string, step: number): Promise<void> {
  const name = stepName(step);
  if ((await readPointer(folder, 'latest')) !== name) await setPointer(folder, 'latest', name).catch(() => undefined);
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

/** @returns folders that nobody needs any more */
async function tidyUp(folder: string, { step, keepLast, keep, isOneOfMany }: CommitOptions): Promise<string[]> {
  await setPointer(folder, 'latest', stepName(step));
  const gone = [path.join(folder, replacedName(step))];
  const best = await readPointer(folder, 'best');
  const leaving = planRetention(await listStored(folder), {
    saved: step,
    keepLast,
    keep: (candidate) => stepName(candidate) === best || keep?.(candidate) === true,
  });
  const spare = isOneOfMany === true && (await canMapFiles(folder)) ? leaving.at(-1) : undefined;
  for (const old of leaving) {
    // Renamed first, so that a deletion cut off half-way does not look like a damaged checkpoint.
    const target = path.join(folder, old === spare ? spareName(old) : removedName(old));
    await rename(path.join(folder, stepName(old)), target);
    if (old !== spare) gone.push(target);
  }
  return gone;
}

async function removeAll(folders: readonly string[]): Promise<void> {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
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

/** The failure of a save in words: what is wrong, what is intact, what to do. */
export async function saveFailure(folder: string, step: number, cause: unknown): Promise<SlipError> {
  if (cause instanceof SlipError) return cause;
  const { code = '', message } = cause as NodeJS.ErrnoException;
  const stored = await listStored(folder).catch(() => []);
  const previous = Math.max(...stored.filter(({ valid }) => valid).map((checkpoint) => checkpoint.step));
  const kept = Number.isFinite(previous)
    ? `the previous checkpoint (step ${previous}) is intact`
    : 'there is no earlier checkpoint';
  return new SlipError(
    'checkpoint',
    `cannot save step ${step} in ${folder}: ${describeCause(code, message)}; ${kept}; ${REMEDIES[code] ?? 'check that storage'} and run again`,
    { cause, details: { step, cause: code } },
  );
}

async function checkRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize, blocks } = await statfs(folder);
  const free = bavail * bsize;
  // Some network file systems do not tell.
  if (blocks === 0 || free >= bytes) return;
  const megabytes = (value: number) => (value / 1e6).toFixed(1);
  throw Object.assign(new Error(`${megabytes(free)} MB are free, ${megabytes(bytes)} MB are needed`), {
    code: 'ENOSPC',
  });
}

function describeCause(code: string, message: string): string {
  const known = FAILURES[code];
  if (known === undefined) return message;
  return message.startsWith(code) ? known : `${known}: ${message}`;
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
