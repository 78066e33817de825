// The pure half of the model, without tfjs: which models there are, their sizes, tensors and counts.
export { type ClassifierConfig, plainClassifier } from './classifier/classifier-config.js';
export {
  type FinetuneGroups,
  finetuneLayout,
  linearLayout,
  type ParameterGroup,
  parameterGroups,
} from './classifier/classifier-layout.js';
export { modelFlags } from './model-flags.js';
export {
  type Activation,
  type Family,
  MODEL_NAMES,
  type ModelConfig,
  type ModelOverrides,
  type ResNetConfig,
  resolveModel,
  type SslHeadConfig,
  type TextConfig,
  type VisionConfig,
  type VisionTransformerConfig,
  vitOf,
} from './models.js';
export {
  countParameters,
  type Initialisation,
  type StateLayout,
  stateLayout,
  type TensorEntry,
} from './state-layout.js';
