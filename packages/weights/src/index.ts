// Weights in and out of other programs' files. Knows names and layouts, computes nothing.

export {
  type Converted,
  type ConvertOptions,
  convertWeights,
  TARGETS,
  type TargetName,
  targetNamed,
} from './convert.js';
export { type DownloadOptions, fetchPublished } from './download.js';
export { KEY_MAPS, type WeightsFormat } from './maps/key-rules.js';
export { widened } from './maps/rearrange.js';
export {
  describeModel,
  type ModelDescription,
  type ModelHints,
  requireOwnModel,
  requireTexts,
} from './model-description.js';
export { averageWeights, diffWeights, type TensorDifference, type WeightsDifference } from './numbers.js';
export { openContainer, openWeights, type TrainingFacts, type Weights } from './open-weights.js';
export { cacheFolder, fetchPretrained, findPretrained, mirrorOf } from './pretrained.js';
export { PUBLISHED_BASE, PUBLISHED_MODELS, type PublishedModel, publishedScores } from './published.js';
export {
  countElements,
  type ElementType,
  float32Tensor,
  readWhole,
  type StoredTensor,
  tensorInMemory,
} from './stored-tensor.js';
export { openTorchFile, type TorchFile } from './torch/torch-file.js';
export { type WriteProgress, writeTorchFile } from './torch/write-torch-file.js';
export { type Verified, verifyWeights } from './verify.js';
