// Chooses the vision tower by its kind, so that nobody else assumes a ViT.
import { tf } from '@slip/engine';
import type { VisionConfig } from '../models.js';
import type { Parameters } from '../parameters.js';
import { modifiedResNet, type NormStatistics } from './modified-resnet.js';
import { visionTransformer } from './vision-transformer.js';

/**
 * @param image [B, 3, S, S]
 * @param params the whole model
 * @param statistics of the batch norms of a tower that has them
 * @returns [B, width] before any projection, or [B, embedDim] where the tower has it in itself
 */
export function visionFeatures(
  image: tf.Tensor,
  params: Parameters,
  config: VisionConfig,
  statistics: NormStatistics = {},
): tf.Tensor {
  switch (config.kind) {
    case 'vit':
      return visionTransformer(image, params.in('visual'), config);
    case 'resnet':
      return modifiedResNet(image, params.in('visual'), config, statistics);
    default:
      return config satisfies never;
  }
}

/** Features in the space that images share with texts. */
export function imageEmbedding(features: tf.Tensor, params: Parameters, config: VisionConfig): tf.Tensor {
  return config.kind === 'vit' ? tf.matMul(features, params.get('image_projection')) : features;
}

/** Whether rows influence each other inside the tower; where not, several views may pass it in one batch. */
export function hasBatchStatistics(config: VisionConfig): boolean {
  return config.kind !== 'vit';
}
