// timm's ViT (reference 1.2) from an image to the feature of its class token, with the options that make it the tower of
// OpenAI's CLIP; nothing after the tower.
import { attention, layerNorm, linear, tf } from '@slip/engine';
import type { VisionTransformerConfig } from '../models.js';
import type { Parameters } from '../parameters.js';
import { activate } from './activation.js';

/**
 * Legend: B rows, S image size, N patches + 1, D width, H heads.
 *
 * @param image [B, 3, S, S], normalised
 * @param params the `visual` module
 * @returns [B, D]
 */
export function visionTransformer(image: tf.Tensor, params: Parameters, config: VisionTransformerConfig): tf.Tensor {
  const embedded = embedPatches(image, params, config);
  let x_BND = config.preNorm ? norm(embedded, params.in('norm_pre'), config) : embedded;
  for (let i = 0; i < config.depth; i++) {
    const block = params.in(`blocks.${i}`);
    x_BND = i === config.depth - 1 ? lastBlock(x_BND, block, config) : wholeBlock(x_BND, block, config);
  }
  const [batch, , width] = x_BND.shape as [number, number, number];
  return tf.reshape(norm(x_BND, params.in('norm'), config), [batch, width]);
}

function norm(x: tf.Tensor, params: Parameters, { normEps }: VisionTransformerConfig): tf.Tensor {
  return layerNorm(x, params.get('weight'), params.get('bias'), normEps);
}

/** The convolution of kernel = stride as one product of flattened patches; class token first, positions added. */
function embedPatches(image: tf.Tensor, params: Parameters, config: VisionTransformerConfig): tf.Tensor {
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
  return tf.add(tf.concat([cls, tokens], 1), params.get('pos_embed'));
}

function wholeBlock(x_BND: tf.Tensor, block: Parameters, config: VisionTransformerConfig): tf.Tensor {
  const { heads } = config;
  const normed = norm(x_BND, block.in('norm1'), config);
  const qkv = splitHeads(linear(normed, block.get('attn.qkv.weight'), block.get('attn.qkv.bias')), 3, heads);
  const attended = joinHeads(attention(qkv[0], qkv[1], qkv[2], { causal: false }));
  const x = tf.add(x_BND, linear(attended, block.get('attn.proj.weight'), block.get('attn.proj.bias')));
  return tf.add(x, mlp(x, block, config));
}

/** Only the class token is used afterwards: its query and MLP alone, over keys and values of all tokens. */
function lastBlock(x_BND: tf.Tensor, block: Parameters, config: VisionTransformerConfig): tf.Tensor {
  const { heads, width } = config;
  const batch = x_BND.shape[0];
  const normed = norm(x_BND, block.in('norm1'), config);
  const [queryWeight, keyValueWeight] = tf.split(block.get('attn.qkv.weight'), [width, 2 * width], 0);
  const [queryBias, keyValueBias] = tf.split(block.get('attn.qkv.bias'), [width, 2 * width], 0);
  const classToken = tf.slice(normed, [0, 0, 0], [batch, 1, width]);
  const [query] = splitHeads(linear(classToken, queryWeight, queryBias), 1, heads);
  const [key, value] = splitHeads(linear(normed, keyValueWeight, keyValueBias), 2, heads);
  const attended = joinHeads(attention(query, key, value, { causal: false }));
  const x = tf.add(
    tf.slice(x_BND, [0, 0, 0], [batch, 1, width]),
    linear(attended, block.get('attn.proj.weight'), block.get('attn.proj.bias')),
  );
  return tf.add(x, mlp(x, block, config));
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
