// A vision tower with a linear classifier, as linear probing and fine-tuning train it (reference 1.6, 6.3): its options as
// numbers; not its tensors (classifier-layout.ts).
import type { VisionTransformerConfig } from '../models.js';

export interface ClassifierConfig {
  readonly vision: VisionTransformerConfig;
  readonly numClasses: number;
  /** What the classifier sees: the class token, or the mean of the patches with a norm of its own. */
  readonly pooling: 'cls' | 'mean';
  /** Learned positions added to the tokens. */
  readonly absolutePositions: boolean;
  /** A learned bias of attention by relative position, in every block. */
  readonly relativePositions: boolean;
  /** First value of the factors of each branch; 0 where there are none. */
  readonly layerScale: number;
}

/** The tower as it was trained, and nothing else. */
export function plainClassifier(vision: VisionTransformerConfig, numClasses: number): ClassifierConfig {
  return { vision, numClasses, pooling: 'cls', absolutePositions: true, relativePositions: false, layerScale: 0 };
}
