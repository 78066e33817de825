// Features of a long list, computed by all ranks together in parts that stay on disk: what was computed before a stop is not computed
// again. A part is made of the same batches on any number of ranks, so its bits are the same.
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { ProcessGroup } from '@slip/comms';
import { SlipError, writeFileAtomic } from '@slip/core';
import { writeNpyMatrix } from '@slip/data';

export interface SharedFeatures {
  /** `<folder>/<name>_features.npy` */
  readonly name: 'image' | 'text';
  readonly folder: string;
  /** Rows in all. */
  readonly total: number;
  readonly width: number;
  readonly batchSize: number;
  /** Whatever the features depend on, as a file name. */
  readonly key: string;
  readonly group: ProcessGroup;
  /** Rows from the first up to and without the second; [rows, width]. Never called where nothing is missing. */
  encode(first: number, end: number): Promise<Float32Array>;
  readonly stopRequested: () => boolean;
  /** Called on all ranks after each round, with rows that are done on all of them. */
  readonly told: (rows: number) => void;
}

/** More files would make a folder slow. */
const MAX_PARTS = 4096;

/**
 * Collective.
 * @returns what makes one file of the parts, for rank 0, when nobody waits for it any more: of a large set it takes minutes
 * @throws SlipError `stopped` on all ranks alike
 */
export async function shareFeatures(task: SharedFeatures): Promise<() => Promise<void>> {
  const { folder, name, total, group } = task;
  const parts = path.join(folder, 'parts', `${name}-${task.key}`);
  await mkdir(parts, { recursive: true });
  const rows = partRows(task);
  const count = Math.ceil(total / rows);
  const missing = await missingParts(parts, count, task);
  let done = total - missing.reduce((sum, part) => sum + lengthOf(part, rows, total), 0);
  for (let round = 0; round < missing.length; round += group.worldSize) {
    const part = missing[round + group.rank];
    if (part !== undefined) {
      const first = part * rows;
      const features = await task.encode(first, first + lengthOf(part, rows, total));
      await writeFileAtomic(
        fileOf(parts, part),
        new Uint8Array(features.buffer, features.byteOffset, features.byteLength),
      );
    }
    const stops = await group.allGatherObject(task.stopRequested());
    for (const other of missing.slice(round, round + group.worldSize)) done += lengthOf(other, rows, total);
    task.told(done);
    if (stops.some(Boolean)) throw new SlipError('stopped', 'asked to stop; the parts that are done are kept');
  }
  return async () => {
    await writeNpyMatrix(path.join(folder, `${name}_features.npy`), [total, task.width], joined(parts, count));
    await rm(parts, { recursive: true });
  };
}

/** A batch, or several where there would be too many parts; not a matter of ranks. */
function partRows({ total, batchSize }: SharedFeatures): number {
  return batchSize * Math.max(1, Math.ceil(total / (batchSize * MAX_PARTS)));
}

function lengthOf(part: number, rows: number, total: number): number {
  return Math.min(rows, total - part * rows);
}

function fileOf(folder: string, part: number): string {
  return path.join(folder, `${String(part).padStart(6, '0')}.f32`);
}

/** As rank 0 sees them, so that all ranks agree. */
async function missingParts(folder: string, count: number, task: SharedFeatures): Promise<readonly number[]> {
  const { group, total, width } = task;
  const rows = partRows(task);
  const found: number[] = [];
  if (group.rank === 0) {
    const names = new Set(await readdir(folder));
    for (let part = 0; part < count; part++) {
      const file = fileOf(folder, part);
      const bytes = names.has(path.basename(file)) ? (await stat(file)).size : -1;
      if (bytes !== 4 * width * lengthOf(part, rows, total)) found.push(part);
    }
  }
  const [missing] = await group.allGatherObject(found);
  return missing;
}

async function* joined(folder: string, count: number): AsyncGenerator<Uint8Array> {
  for (let part = 0; part < count; part++) yield* createReadStream(fileOf(folder, part)) as AsyncIterable<Buffer>;
}
