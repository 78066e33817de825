// Saving a checkpoint from one process, start to end.
import path from 'node:path';
import { invariant } from '@slip/core';
import type { ManifestShard } from './manifest.js';
import { byteLengthOf, type WritableTensor } from './named-tensor.js';
import { writeTensorsInPlace } from './safetensors-write.js';
import {
  abandonSave,
  beginSave,
  type CommitOptions,
  type CommittedSave,
  commitSave,
  saveFailure,
} from './save-stages.js';
import { dropSpares } from './spare-files.js';

export interface SaveOptions extends Omit<CommitOptions, 'isOneOfMany'> {
  /** Tensors by logical file name, such as `model` and `optimizer`; borrowed until the save resolves. */
  readonly files: Readonly<Record<string, readonly WritableTensor[]>>;
}

export interface SavedCheckpoint extends Omit<CommittedSave, 'cleared'> {
  /** Milliseconds until it was safe on disk and what it replaces was gone. */
  readonly writeMs: number;
}

/**
 * Writes `<folder>/step-00000123`. One save at a time in a folder. A checkpoint of the same step is replaced.
 * @param folder `<run>/checkpoints`; made if needed
 * @throws SlipError `checkpoint` when the disk is full or fails: nothing half-written stays and the previous checkpoint
 *   is as it was
 */
export async function saveCheckpoint(folder: string, options: SaveOptions): Promise<SavedCheckpoint> {
  const { step, files } = options;
  invariant(Number.isSafeInteger(step) && step >= 0, `a checkpoint of step ${step}`);
  const startedAt = performance.now();
  let temporary: string | undefined;
  try {
    const bytes = Object.values(files)
      .flat()
      .reduce((sum, tensor) => sum + byteLengthOf(tensor), 0);
    await dropSpares(folder);
    temporary = await beginSave(folder, step, bytes);
    const shards: Record<string, ManifestShard[]> = {};
    for (const [file, tensors] of Object.entries(files)) {
      invariant(/^[a-z0-9][a-z0-9_-]*$/i.test(file), `a checkpoint file named ${file}`);
      const name = `${file}.safetensors`;
      const written = await writeTensorsInPlace(path.join(temporary, name), tensors, fileMetadata(step));
      shards[file] = [{ name, ...written }];
    }
    const { cleared, ...committed } = await commitSave(folder, temporary, shards, options);
    await cleared;
    return { ...committed, writeMs: performance.now() - startedAt };
  } catch (error) {
    if (temporary !== undefined) await abandonSave(temporary);
    throw await saveFailure(folder, step, error);
  }
}

/** Metadata of a file of tensors: what other tools want to see, and the step for people. */
export function fileMetadata(step: number): Record<string, string> {
  return { format: 'pt', step: String(step) };
}
