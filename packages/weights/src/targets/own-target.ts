// Our own forms: a checkpoint folder to continue or evaluate from, and one safetensors file.
import { type JsonObject, saveCheckpoint, writeSafetensors } from '@slip/checkpoint';
import { checkFreeSpace, SlipError } from '@slip/core';
import { widened } from '../maps/rearrange.js';
import { requireOwnModel } from '../model-description.js';
import type { Weights } from '../open-weights.js';
import { readWhole } from '../stored-tensor.js';

/**
 * `<folder>/step-<n>` as a run of ours writes it: pointing `--resume` at it starts from these weights, and with the moments
 * from the same optimizer.
 * @param folder made if needed
 * @throws SlipError when no model of ours has these tensors, or the disk fails
 */
export async function writeOwnCheckpoint(folder: string, weights: Weights): Promise<{ path: string; bytes: number }> {
  requireOwnModel(weights.path, weights.tensors, weights.model);
  const { moments, args } = weights;
  const model = weights.tensors.map(widened);
  await checkFreeSpace(
    folder,
    [...model, ...(moments ?? [])].reduce((sum, { byteLength }) => sum + byteLength, 0),
  );
  const counter = weights.tensors.find(({ name }) => name.endsWith('num_batches_tracked'));
  const tracked = counter === undefined ? 0n : new DataView((await readWhole(counter)).buffer).getBigInt64(0, true);
  return saveCheckpoint(folder, {
    step: Math.trunc(weights.step ?? 0),
    files: { model, ...(moments === undefined ? {} : { optimizer: moments }) },
    state: {
      step: Math.trunc(weights.step ?? 0),
      epoch: Math.trunc(weights.epoch ?? 0),
      batchInEpoch: 0,
      batchesTracked: Number(tracked),
      bestAcc1: weights.bestAcc1 ?? 0,
      globalBatch: weights.globalBatch ?? 0,
      updateFreq: numberOf(args?.update_freq ?? args?.updateFreq, 1),
      seed: numberOf(args?.seed, 0),
      configHash: '',
      imported: {
        from: weights.path,
        ...(weights.model.name === undefined ? {} : { model: weights.model.name }),
        ...importedOptions(weights.model),
        args: (args ?? {}) as JsonObject,
      },
    },
    keepLast: Number.MAX_SAFE_INTEGER,
  });
}

/** What the tensors do not tell, under the names of the run's own flags. */
function importedOptions({ vision, text }: Weights['model']): JsonObject {
  return {
    ...(vision.heads === undefined ? {} : { visionHeads: vision.heads }),
    ...(vision.kind === 'vit' ? { visionActivation: vision.activation, visionNormEps: vision.normEps } : {}),
    ...(text === undefined ? {} : { textActivation: text.activation }),
    ...(text?.heads === undefined ? {} : { textHeads: text.heads }),
  };
}

function numberOf(value: unknown, otherwise: number): number {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : otherwise;
}

/** Our names, types as they are; the model alone. */
export async function writeOneSafetensors(file: string, weights: Weights): Promise<number> {
  await checkFreeSpace(
    file,
    weights.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
  );
  try {
    const { sizeBytes } = await writeSafetensors(file, weights.tensors, {
      format: 'pt',
      ...(weights.model.name === undefined ? {} : { model: weights.model.name }),
    });
    return sizeBytes;
  } catch (error) {
    if (error instanceof SlipError) throw error;
    throw new SlipError('checkpoint', `cannot write ${file}: ${(error as Error).message}`, { cause: error });
  }
}
