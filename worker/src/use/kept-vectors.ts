// Class vectors that were computed before: kept beside the results, so that an evaluation that begins again does not encode texts anew.
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { ProcessGroup } from '@slip/comms';
import { writeFileAtomic } from '@slip/core';
import type { Prompts } from '@slip/data';

export interface VectorStore {
  readonly folder: string;
  /** What the vectors depend on beside the prompts: weights, and how texts are cut. */
  readonly key: string;
}

/**
 * Rank 0 reads and writes; the others get its bits, whether they see its files or not. Collective.
 * @param length floats of all vectors
 * @param compute collective too
 */
export async function keptVectors(
  { folder, key }: VectorStore,
  name: string,
  prompts: Prompts,
  length: number,
  group: ProcessGroup,
  compute: () => Promise<Float32Array>,
): Promise<Float32Array> {
  const hash = createHash('sha256')
    .update(JSON.stringify([key, prompts]))
    .digest('hex')
    .slice(0, 16);
  const file = path.join(folder, `${name}-${hash}.f32`);
  const kept = group.rank === 0 ? await readVectors(file, length) : undefined;
  const [isKept] = await group.allGatherObject(kept !== undefined);
  if (isKept) {
    const vectors = kept ?? new Float32Array(length);
    await group.broadcast(vectors, 0);
    return vectors;
  }
  const vectors = await compute();
  if (group.rank === 0) {
    await mkdir(folder, { recursive: true });
    await writeFileAtomic(file, new Uint8Array(vectors.buffer, vectors.byteOffset, vectors.byteLength));
  }
  return vectors;
}

async function readVectors(file: string, length: number): Promise<Float32Array | undefined> {
  const bytes = await readFile(file).catch(() => undefined);
  if (bytes?.byteLength !== 4 * length) return undefined;
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}
