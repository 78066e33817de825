// CLIP's causal text transformer (reference 1.3) from token ids to the feature of the end-of-text token.
import { attention, blockBoundary, embedding, firstRows, layerNorm, linear, tf } from '@slip/engine';
import type { TextConfig } from '../models.js';
import type { Parameters } from '../parameters.js';
import { activate } from './activation.js';
import { joinHeads, splitHeads } from './vision-transformer.js';

const EPS = 1e-5;

/** To which texts are cut: multiples of 8, and the whole context. */
export function textLengths({ contextLength }: TextConfig): number[] {
  const multiples = Array.from({ length: Math.ceil(contextLength / 8) - 1 }, (_, i) => 8 * (i + 1));
  return [...multiples, contextLength];
}

/**
 * Legend: B rows, L length, W width. Attention is causal and the end of the text is all that is taken: tokens behind the last such
 * end in the batch change nothing, and L may be anything from there to the context length.
 *
 * @param tokens [B, L] int32
 * @param params the whole model
 * @returns [B, W], before the text projection
 */
export function textFeatures(tokens: tf.Tensor, params: Parameters, config: TextConfig): tf.Tensor {
  const positions_LW = firstRows(params.get('positional_embedding'), tokens.shape[1]!);
  let x_BLW = tf.add(embedding(params.get('token_embedding.weight'), tokens), positions_LW);
  for (let i = 0; i < config.depth; i++) {
    x_BLW = residualBlock(blockBoundary(x_BLW), params.in(`transformer.resblocks.${i}`), config);
  }
  const pooled = takeEndOfText(blockBoundary(x_BLW), tokens);
  return layerNorm(pooled, params.get('ln_final.weight'), params.get('ln_final.bias'), EPS);
}

function residualBlock(x_BLW: tf.Tensor, block: Parameters, { heads, activation }: TextConfig): tf.Tensor {
  const normed = layerNorm(x_BLW, block.get('ln_1.weight'), block.get('ln_1.bias'), EPS);
  const qkv = splitHeads(linear(normed, block.get('attn.in_proj_weight'), block.get('attn.in_proj_bias')), 3, heads);
  const attended = joinHeads(attention(qkv[0], qkv[1], qkv[2], { causal: true }));
  const x = tf.add(x_BLW, linear(attended, block.get('attn.out_proj.weight'), block.get('attn.out_proj.bias')));
  const hidden = linear(
    layerNorm(x, block.get('ln_2.weight'), block.get('ln_2.bias'), EPS),
    block.get('mlp.c_fc.weight'),
    block.get('mlp.c_fc.bias'),
  );
  const activated = activate(hidden, activation);
  return tf.add(x, linear(activated, block.get('mlp.c_proj.weight'), block.get('mlp.c_proj.bias')));
}

/** The row of the largest token id (the first of equals). Layer norm is per token, so only this row is normed later. */
function takeEndOfText(x_BLW: tf.Tensor, tokens: tf.Tensor): tf.Tensor {
  const [batch, length] = x_BLW.shape as [number, number, number];
  const position = tf.argMax(tokens, 1);
  const selector = tf.reshape(tf.cast(tf.oneHot(tf.cast(position, 'int32'), length), 'float32'), [batch, length, 1]);
  // Not a matrix product, which would be rounded in mixed precision.
  return tf.sum(tf.mul(selector, x_BLW), 1);
}
