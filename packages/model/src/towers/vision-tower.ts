// Chooses the vision tower by its kind, so that nobody else assumes a ViT.
import type { tf } from '@slip/engine';
import type { VisionConfig } from '../models.js';
import type { Parameters } from '../parameters.js';
import { visionTransformer } from './vision-transformer.js';

/**
 * @param image [B, 3, S, S]
 * @param params the whole model
 * @returns [B, width], before any projection
 */
export function visionFeatures(image: tf.Tensor, params: Parameters, config: VisionConfig): tf.Tensor {
  switch (config.kind) {
    case 'vit':
      return visionTransformer(image, params.in('visual'), config);
    default:
      return config.kind satisfies never;
  }
}

/** Whether rows influence each other inside the tower; where not, several views may pass it in one batch. */
export function hasBatchStatistics(config: VisionConfig): boolean {
  return config.kind !== 'vit';
}
