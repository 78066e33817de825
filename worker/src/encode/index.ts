// The library: models opened from checkpoints, and what they make of pictures and texts. docs/library.md shows how it is used.
export type { ModelConfig } from '@slip/model/architecture';
export { type Found, nearestRows } from './cosines.js';
export { unitRows } from './encoder.js';
export { type LabelProbability, type LoadOptions, type Picture, SlipModel, type UseOptions } from './slip-model.js';
