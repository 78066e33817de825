// Checkpoint folders and the safetensors files in them: exact, verified, atomic. Knows tensors by name, not models.
export type { JsonObject, JsonValue } from './manifest.js';
export type { NamedTensor, StreamedTensor, TensorArray, TensorDtype, WritableTensor } from './named-tensor.js';
export { type Checkpoint, findLatestCheckpoint, openCheckpoint, type TensorPlace } from './open-checkpoint.js';
export { type Pruned, type PruneOptions, pruneCheckpoints } from './prune.js';
export type { SafetensorsEntry, SafetensorsHeader } from './safetensors-header.js';
export { readSafetensorsHeader, readSafetensorsInto, type TensorResolver } from './safetensors-read.js';
export { type WrittenFile, writeSafetensors } from './safetensors-write.js';
export { markBest, type SavedCheckpoint, type SaveOptions, saveCheckpoint } from './save-checkpoint.js';
