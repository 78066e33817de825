// The vision tower of any weights, for a classifier on top of it: what it is, and its tensors under timm's names. Not whole models
// (../pretrain/pretrained.ts).
import { type Logger, SlipError } from '@slip/core';
import type { VisionTransformerConfig } from '@slip/model/architecture';
import { findPretrained, openWeights, readWhole, type StoredTensor, type Weights, widened } from '@slip/weights';
import { fill } from '../pretrain/pretrained.js';
import { type TrainState, tensorView } from '../pretrain/train-state.js';
import { interpolatePositions } from './interpolate-positions.js';

/** @throws SlipError `checkpoint` when there is no such file, or no tower in it; whatever `use` throws */
export async function withWeights<T>(
  name: string,
  cacheFolder: string,
  use: (weights: Weights) => T | Promise<T>,
): Promise<T> {
  const weights = await openWeights(await findPretrained(name, cacheFolder));
  try {
    return await use(weights);
  } finally {
    await weights.close();
  }
}

/** timm's names of towers, as --arch has them. `vit_small_patch16_224` is no tower of the original: it has 6 heads. */
const ARCHITECTURES: Readonly<Record<string, { width: number; depth: number; heads: number }>> = {
  vit_small_mocov3_patch16_224: { width: 384, depth: 12, heads: 12 },
  vit_base_patch16_224: { width: 768, depth: 12, heads: 12 },
  vit_large_patch16_224: { width: 1024, depth: 24, heads: 16 },
};

/**
 * The tower that the weights were trained in.
 * @param wanted what the command line says of it; nothing is taken from it that the weights tell otherwise
 * @throws SlipError `config` naming the flag that does not fit the weights, or that is missing
 */
export function towerOf(
  { path, model }: Weights,
  wanted: { readonly arch?: string; readonly heads?: number },
): VisionTransformerConfig {
  if (model.vision.kind !== 'vit')
    throw new SlipError('unsupported', `${path} has a ResNet, and classifiers are trained on vision transformers only`);
  const { heads: told, ...vision } = model.vision;
  const { arch = '' } = wanted;
  if (arch === 'vit_small_patch16_224') {
    throw new SlipError(
      'config',
      '--arch vit_small_patch16_224 has 6 heads, the small models of SLIP have 12: they would load and compute something ' +
        'else; use --arch vit_small_mocov3_patch16_224, or leave it out',
    );
  }
  const named = arch === '' ? undefined : ARCHITECTURES[arch];
  if (arch !== '' && named === undefined) {
    throw new SlipError(
      'config',
      `--arch ${arch} is not known; there are ${Object.keys(ARCHITECTURES).join(', ')}, or leave it out`,
    );
  }
  if (named !== undefined && (named.width !== vision.width || named.depth !== vision.depth)) {
    throw new SlipError(
      'config',
      `--arch ${arch} has ${named.depth} blocks of width ${named.width}, ${path} has ${vision.depth} of ${vision.width}; ` +
        'leave --arch out',
    );
  }
  const given = wanted.heads ?? named?.heads;
  if (told !== undefined && given !== undefined && told !== given) {
    throw new SlipError(
      'config',
      `${path} was trained with ${told} heads, and ${given} are asked for: it would load and compute something else; ` +
        `use --vision-heads ${told}, or leave it out`,
    );
  }
  const heads = told ?? given;
  if (heads === undefined) {
    throw new SlipError('config', `${path} does not tell how many attention heads it has; pass --vision-heads`);
  }
  return { ...vision, heads };
}

/**
 * Fills those tensors of a classifier that the weights have.
 * @param fresh names that may stay as they were initialised; any other that is missing is an error
 * @throws SlipError `checkpoint` naming the tensor that is missing or has another shape
 */
export async function loadTower(
  weights: Weights,
  state: TrainState,
  fresh: (name: string) => boolean,
  log: Logger | undefined,
): Promise<void> {
  const given = new Map(weights.tensors.map((tensor) => [tensor.name, tensor]));
  for (const entry of state.entries) {
    const tensor = given.get(`visual.${entry.name}`);
    if (tensor !== undefined && `${tensor.shape}` === `${entry.shape}`) {
      await fill(state, entry, tensor);
    } else if (tensor !== undefined && entry.name === 'pos_embed' && tensor.shape[2] === entry.shape[2]) {
      await fillPositions(state, tensor, entry.shape);
      log?.info(`positions of ${tensor.shape[1] - 1} patches are interpolated to ${entry.shape[1] - 1}`);
    } else if (tensor !== undefined || !fresh(entry.name)) {
      const found = tensor === undefined ? 'not' : `[${tensor.shape}]`;
      throw new SlipError(
        'checkpoint',
        `${weights.path}: ${entry.name} is [${entry.shape}] in this run and ${found} in the file; check the sizes of the model`,
      );
    }
  }
  for (const note of weights.notes) log?.warn(`${weights.path}: ${note}`);
  log?.info(`the tower begins with the weights of ${weights.path}`);
}

async function fillPositions(state: TrainState, tensor: StoredTensor, shape: readonly number[]): Promise<void> {
  const bytes = await readWhole(widened(tensor));
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  const [from, to] = [tensor.shape[1], shape[1]].map((tokens) => Math.sqrt(tokens - 1));
  tensorView(state, state.params, 'pos_embed').set(interpolatePositions(values, from, to, shape[2]));
}
