// timm's ViT (reference 1.2) from an image to the feature of its class token, with the options that make it the tower of
// OpenAI's CLIP; nothing after the tower.
import { attention, blockBoundary, layerNorm, linear, tf } from '@slip/engine';
import type { VisionTransformerConfig } from '../models.js';
import type { Parameters } from '../parameters.js';
import { activate } from './activation.js';

/** What fine-tuning changes of the tower; nothing in pre-training. */
export interface TowerChanges {
  /** Without the position embedding. */
  readonly noPositions?: boolean;
  /** The mean of the patches through `fc_norm`, not the class token through `norm`. */
  readonly meanPooling?: boolean;
  /** What happens to a branch ([B, N, D], or [B, 1, D] for the class token alone) before it is added. */
  readonly branch?: (added: tf.Tensor, block: Parameters, index: number, which: 'attn' | 'mlp') => tf.Tensor;
  /** Added to the scores of a block: [1, H, N, N]. */
  readonly scoreBias?: (block: Parameters) => tf.Tensor;
}

/**
 * Legend: B rows, S image size, N patches + 1, D width, H heads.
 *
 * @param image [B, 3, S, S], normalised
 * @param params the `visual` module
 * @returns [B, D]
 */
export function visionTransformer(
  image: tf.Tensor,
  params: Parameters,
  config: VisionTransformerConfig,
  changes: TowerChanges = {},
): tf.Tensor {
  const embedded = embedPatches(image, params, config, changes);
  let x_BND = config.preNorm ? norm(embedded, params.in('norm_pre'), config) : embedded;
  for (let i = 0; i < config.depth; i++) {
    const block = { index: i, params: params.in(`blocks.${i}`), config, changes };
    const isLast = i === config.depth - 1 && changes.meanPooling !== true;
    const input_BND = blockBoundary(x_BND);
    x_BND = isLast ? lastBlock(input_BND, block) : wholeBlock(input_BND, block);
  }
  x_BND = blockBoundary(x_BND);
  const [batch, tokens, width] = x_BND.shape as [number, number, number];
  if (changes.meanPooling === true) {
    return norm(tf.mean(tf.slice(x_BND, [0, 1, 0], [batch, tokens - 1, width]), 1), params.in('fc_norm'), config);
  }
  return tf.reshape(norm(x_BND, params.in('norm'), config), [batch, width]);
}

interface Block {
  readonly index: number;
  readonly params: Parameters;
  readonly config: VisionTransformerConfig;
  readonly changes: TowerChanges;
}

function norm(x: tf.Tensor, params: Parameters, { normEps }: VisionTransformerConfig): tf.Tensor {
  return layerNorm(x, params.get('weight'), params.get('bias'), normEps);
}

/** The convolution of kernel = stride as one product of flattened patches; class token first, positions added. */
function embedPatches(
  image: tf.Tensor,
  params: Parameters,
  config: VisionTransformerConfig,
  { noPositions }: TowerChanges,
): tf.Tensor {
  const { patchSize: p, width } = config;
  const batch = image.shape[0];
  const grid = config.imageSize / p;
  const patches = tf.reshape(tf.transpose(tf.reshape(image, [batch, 3, grid, p, grid, p]), [0, 2, 4, 1, 3, 5]), [
    batch,
    grid * grid,
    3 * p * p,
  ]);
  const proj = params.in('patch_embed.proj');
  const weight = tf.reshape(proj.get('weight'), [width, 3 * p * p]);
  const tokens = linear(patches, weight, config.patchBias ? proj.get('bias') : undefined);
  const cls = tf.tile(params.get('cls_token'), [batch, 1, 1]);
  const all = tf.concat([cls, tokens], 1);
  return noPositions === true ? all : tf.add(all, params.get('pos_embed'));
}

function wholeBlock(x_BND: tf.Tensor, block: Block): tf.Tensor {
  const { params, config } = block;
  const normed = norm(x_BND, params.in('norm1'), config);
  const projected = linear(normed, params.get('attn.qkv.weight'), params.get('attn.qkv.bias'));
  const [query, key, value] = splitHeads(projected, 3, config.heads);
  return withBranches(x_BND, attend(query, key, value, block), block);
}

/** Only the class token is used afterwards: its query and MLP alone, over keys and values of all tokens. */
function lastBlock(x_BND: tf.Tensor, block: Block): tf.Tensor {
  const { params, config } = block;
  const { heads, width } = config;
  const batch = x_BND.shape[0];
  const normed = norm(x_BND, params.in('norm1'), config);
  const [queryWeight, keyValueWeight] = tf.split(params.get('attn.qkv.weight'), [width, 2 * width], 0);
  const [queryBias, keyValueBias] = tf.split(params.get('attn.qkv.bias'), [width, 2 * width], 0);
  const classToken = tf.slice(normed, [0, 0, 0], [batch, 1, width]);
  const [query] = splitHeads(linear(classToken, queryWeight, queryBias), 1, heads);
  const [key, value] = splitHeads(linear(normed, keyValueWeight, keyValueBias), 2, heads);
  return withBranches(tf.slice(x_BND, [0, 0, 0], [batch, 1, width]), attend(query, key, value, block), block);
}

/** Heads joined, not yet projected; with fewer queries than keys, those of the first tokens. */
function attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, { params, changes }: Block): tf.Tensor {
  if (changes.scoreBias === undefined) return joinHeads(attention(query, key, value, { causal: false }));
  const [, heads, queries, headDim] = query.shape as [number, number, number, number];
  const whole = changes.scoreBias(params);
  const keys = key.shape[2] as number;
  const bias = queries === keys ? whole : tf.slice(whole, [0, 0, 0, 0], [1, heads, queries, keys]);
  const scores = tf.add(tf.matMul(tf.mul(query, headDim ** -0.5), key, false, true), bias);
  return joinHeads(tf.matMul(tf.softmax(scores), value));
}

function withBranches(x: tf.Tensor, attended: tf.Tensor, { index, params, config, changes }: Block): tf.Tensor {
  const { branch } = changes;
  const projected = linear(attended, params.get('attn.proj.weight'), params.get('attn.proj.bias'));
  const after = tf.add(x, branch === undefined ? projected : branch(projected, params, index, 'attn'));
  const hidden = mlp(after, params, config);
  return tf.add(after, branch === undefined ? hidden : branch(hidden, params, index, 'mlp'));
}

function mlp(x: tf.Tensor, block: Parameters, config: VisionTransformerConfig): tf.Tensor {
  const normed = norm(x, block.in('norm2'), config);
  const hidden = linear(normed, block.get('mlp.fc1.weight'), block.get('mlp.fc1.bias'));
  return linear(activate(hidden, config.activation), block.get('mlp.fc2.weight'), block.get('mlp.fc2.bias'));
}

/** [B, N, parts * D] to `parts` tensors [B, H, N, D / H]: rows of the weight are part-major, then head-major. */
export function splitHeads(x: tf.Tensor, parts: number, heads: number): tf.Tensor[] {
  const [batch, tokens, width] = x.shape as [number, number, number];
  const headDim = width / parts / heads;
  const split = tf.transpose(tf.reshape(x, [batch, tokens, parts, heads, headDim]), [2, 0, 3, 1, 4]);
  // tfjs hands the gradient of a one-part split over as a tensor where its own code wants a list.
  const pieces = parts === 1 ? [split] : tf.split(split, parts, 0);
  return pieces.map((part) => tf.reshape(part, [batch, heads, tokens, headDim]));
}

/** [B, H, N, hd] to [B, N, H * hd]. */
export function joinHeads(x: tf.Tensor): tf.Tensor {
  const [batch, heads, tokens, headDim] = x.shape as [number, number, number, number];
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch, tokens, heads * headDim]);
}
