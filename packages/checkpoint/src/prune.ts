// Removing old checkpoints by hand, by the rules of a run's own retention and never the last valid one.
import { readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { SlipError, syncFolder } from '@slip/core';
import { removedName, roleOf, stepName } from './folder-names.js';
import { readPointer } from './pointer.js';
import { planRetention, type StoredCheckpoint } from './retention.js';
import { verifyFolder } from './verify-folder.js';

export interface PruneOptions {
  /** Newest valid ones to keep, at least 1. */
  readonly keepLast: number;
  /** Keeps those whose step is a multiple of it besides; 0 for none. */
  readonly keepEvery: number;
  /** Only say what would go. */
  readonly dryRun: boolean;
}

export interface Pruned {
  readonly removed: readonly number[];
  readonly kept: readonly number[];
}

/**
 * `best` stays, and whatever is newer than the newest valid one.
 * @param folder `<run>/checkpoints`
 * @throws SlipError `checkpoint` when there is no folder or nothing valid in it (then nothing is removed)
 */
export async function pruneCheckpoints(folder: string, options: PruneOptions): Promise<Pruned> {
  const stored = await listStored(folder);
  const newest = Math.max(...stored.filter(({ valid }) => valid).map(({ step }) => step));
  if (!Number.isFinite(newest)) {
    throw new SlipError('checkpoint', `${folder} has no valid checkpoint among ${stored.length}; nothing was removed`);
  }
  const best = await readPointer(folder, 'best');
  const removed = planRetention(stored, {
    saved: newest,
    keepLast: options.keepLast,
    keep: (step) => stepName(step) === best || (options.keepEvery > 0 && step % options.keepEvery === 0),
  });
  if (!options.dryRun) await removeAll(folder, removed);
  const kept = stored.map(({ step }) => step).filter((step) => !removed.includes(step));
  return { removed, kept: kept.sort((a, b) => a - b) };
}

async function listStored(folder: string): Promise<StoredCheckpoint[]> {
  const names = await readdir(folder).catch((error: Error) => {
    throw new SlipError('checkpoint', `cannot list ${folder}: ${error.message}; name a <run>/checkpoints folder`, {
      cause: error,
    });
  });
  const stored: StoredCheckpoint[] = [];
  for (const name of names) {
    const role = roleOf(name);
    if (role.kind !== 'checkpoint') continue;
    // Contents too: whoever deletes by hand must not end with a newest one whose bits have rotted.
    stored.push({ step: role.step, valid: 'manifest' in (await verifyFolder(path.join(folder, name), true)) });
  }
  return stored;
}

/** Renamed first, so that a deletion cut off half-way does not look like a damaged checkpoint. */
async function removeAll(folder: string, steps: readonly number[]): Promise<void> {
  for (const step of steps) {
    const gone = path.join(folder, removedName(step));
    await rename(path.join(folder, stepName(step)), gone);
    await rm(gone, { recursive: true, force: true });
  }
  await syncFolder(folder);
}
