// traced tfjs steps compiled to ONNX Runtime.
import './ops/tile-gradient.js';

export { allGather, allReduceSum, type StepCollectives, type Topology, topology, withTopology } from './collectives.js';
export { CPU, type Device, type DeviceOptions, type ExecutorOptions, openDevice } from './devices/device.js';
export type { DeviceMemory, HostTensor } from './execute/device-memory.js';
export { createEagerExecutor } from './execute/eager-executor.js';
export { createOnnxExecutor, type OnnxExecutorOptions } from './execute/onnx-executor.js';
export { attention } from './ops/attention.js';
export { type BatchNormResult, batchNormTrain } from './ops/batch-norm.js';
export { blockBoundary } from './ops/boundary.js';
export { conv2d } from './ops/convolution.js';
export { type Labels, softmaxCrossEntropy, topOneAccuracy } from './ops/cross-entropy.js';
export { withGradient, withoutGradient } from './ops/custom-gradient.js';
export { embedding } from './ops/embedding.js';
export { firstRows } from './ops/first-rows.js';
export { gelu, quickGelu } from './ops/gelu.js';
export { l2Normalize } from './ops/l2-normalize.js';
export { layerNorm } from './ops/layer-norm.js';
export { linear } from './ops/linear.js';
export { valueAndGradients } from './ops/value-and-gradients.js';
export type { Completion, Milestones } from './passes/milestones.js';
export type { Recomputation } from './passes/recompute.js';
export type { Segment } from './passes/segment.js';
export { type GraphCache, type GraphCacheOptions, openGraphCache } from './plan/graph-cache.js';
export type {
  StepArray,
  StepBindings,
  StepDefinition,
  StepExecutor,
  StepLengths,
  StepStats,
  TensorSpec,
} from './step.js';
export { tf } from './tfjs.js';
export type { Graph, GraphNode, HalfType, Value } from './trace/graph.js';
