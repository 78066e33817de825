// A classifier from normalised pictures to logits, with what fine-tuning adds to the tower; not the loss (classifier-steps.ts).
import { embedding, linear, tf } from '@slip/engine';
import type { Parameters } from '../parameters.js';
import { type TowerChanges, visionTransformer } from '../towers/vision-transformer.js';
import type { ClassifierConfig } from './classifier-config.js';
import { relativePositionIndex } from './relative-positions.js';

/**
 * @param image [B, 3, S, S]
 * @param params under timm's names
 * @param dropPath [2 * depth, B]: the factor of each branch of each block for each row, 0 or 1 / (1 - rate); none is dropped without it
 * @returns [B, classes]
 */
export function classifierLogits(
  image: tf.Tensor,
  params: Parameters,
  config: ClassifierConfig,
  dropPath?: tf.Tensor,
): tf.Tensor {
  const features = visionTransformer(image, params, config.vision, changesOf(config, dropPath));
  return linear(features, params.get('head.weight'), params.get('head.bias'));
}

function changesOf(config: ClassifierConfig, dropPath: tf.Tensor | undefined): TowerChanges {
  const { pooling, absolutePositions, relativePositions, layerScale, vision } = config;
  return {
    noPositions: !absolutePositions,
    meanPooling: pooling === 'mean',
    ...(layerScale === 0 && dropPath === undefined
      ? {}
      : {
          branch: (added, block, index, which) => {
            const gamma = which === 'attn' ? 'gamma_1' : 'gamma_2';
            const scaled = layerScale > 0 ? tf.mul(added, block.get(gamma)) : added;
            if (dropPath === undefined) return scaled;
            return tf.mul(scaled, rowFactors(dropPath, 2 * index + (which === 'attn' ? 0 : 1)));
          },
        }),
    ...(relativePositions ? { scoreBias: (block) => relativeBias(block, vision.imageSize / vision.patchSize) } : {}),
  };
}

/** [B, 1, 1] */
function rowFactors(dropPath: tf.Tensor, branch: number): tf.Tensor {
  const rows = dropPath.shape[1]!;
  return tf.reshape(tf.slice(dropPath, [branch, 0], [1, rows]), [rows, 1, 1]);
}

/** [1, H, N, N] */
function relativeBias(block: Parameters, grid: number): tf.Tensor {
  const table = block.get('attn.relative_position_bias_table');
  const tokens = grid * grid + 1;
  const index = tf.tensor(relativePositionIndex(grid), [1, tokens * tokens], 'int32');
  const heads = table.shape[1]!;
  const perPair = tf.reshape(embedding(table, index), [tokens, tokens, heads]);
  return tf.reshape(tf.transpose(perPair, [2, 0, 1]), [1, heads, tokens, tokens]);
}
