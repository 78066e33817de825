// Weights in and out of other programs' files. Knows names and layouts, computes nothing.
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
