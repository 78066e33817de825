// Whether weights can be trusted: every byte is read, checksums are compared, values looked through.
import { openCheckpoint } from '@slip/checkpoint';
import { SlipError } from '@slip/core';
import { findNonFinite } from './numbers.js';
import { openWeights, type Weights } from './open-weights.js';
import { openTorchFile } from './torch/torch-file.js';
import type { WriteProgress } from './torch/write-torch-file.js';

export interface Verified {
  readonly path: string;
  readonly container: Weights['container'];
  readonly tensors: number;
  readonly bytes: number;
  /** What was compared, and what is worth knowing. */
  readonly notes: readonly string[];
}

/** @throws SlipError `checkpoint` for the first thing that is wrong; `non-finite` when only values are */
export async function verifyWeights(source: string, onProgress?: WriteProgress): Promise<Verified> {
  const weights = await openWeights(source);
  try {
    const tensors = [...weights.tensors, ...(weights.moments ?? [])];
    const bytes = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const passes = weights.container === 'safetensors' || weights.container === 'checkpoint' ? 1 : 2;
    let done = 0;
    const advance = (count: number): void => {
      done = Math.min(done + count, passes * bytes);
      onProgress?.(done, passes * bytes);
    };
    const compared = await compareChecksums(source, weights.container, advance);
    const wrong = await findNonFinite(tensors, advance);
    if (wrong.length > 0) {
      throw new SlipError(
        'non-finite',
        `${source} has NaN or infinite values in ${wrong.length} tensors, such as ${wrong[0]}`,
      );
    }
    return {
      path: source,
      container: weights.container,
      tensors: tensors.length,
      bytes,
      notes: [compared, ...weights.notes],
    };
  } finally {
    await weights.close();
  }
}

async function compareChecksums(
  source: string,
  container: Weights['container'],
  onBytes: (bytes: number) => void,
): Promise<string> {
  if (container === 'checkpoint') {
    await openCheckpoint(source, { verify: true });
    return 'every file has the SHA-256 of its manifest';
  }
  if (container === 'safetensors') return 'a safetensors file has no checksums; its header fits its length';
  const torch = await openTorchFile(source);
  try {
    const { wrong, entries } = await torch.checkSums(onBytes);
    if (entries === 0) return "PyTorch's old format has no checksums; its storages fit its length";
    if (wrong.length === 0) return `all ${entries} entries have their CRC-32`;
    // Newer PyTorch can be told not to compute them; then none is right, not one.
    if (wrong.length >= entries - 1) return `its ${entries} entries were written without checksums`;
    throw new SlipError(
      'checkpoint',
      `${source} has changed since it was written: ${wrong.length} of ${entries} entries have another CRC-32, such as ${wrong[0]}; get it again`,
    );
  } finally {
    await torch.close();
  }
}
