// Checkpoint folders and the safetensors files in them: exact, verified, atomic. Knows tensors by name, not models.
export type { JsonObject, JsonValue, ManifestShard } from './manifest.js';
export type { NamedTensor, StreamedTensor, TensorArray, TensorDtype, WritableTensor } from './named-tensor.js';
export {
  type Checkpoint,
  findLatestCheckpoint,
  firstUsable,
  listCheckpoints,
  type Opened,
  openCheckpoint,
  resolveFolder,
  type Shard,
  type TensorPlace,
  tryCheckpoint,
} from './open-checkpoint.js';
export { type Pruned, type PruneOptions, pruneCheckpoints } from './prune.js';
export type { SafetensorsEntry, SafetensorsHeader } from './safetensors-header.js';
export { readSafetensorsHeader, readSafetensorsInto, type TensorResolver } from './safetensors-read.js';
export { type WrittenFile, writeSafetensors } from './safetensors-write.js';
export { fileMetadata, type SavedCheckpoint, type SaveOptions, saveCheckpoint } from './save-checkpoint.js';
export {
  abandonSave,
  beginSave,
  type CommitOptions,
  type CommittedSave,
  commitSave,
  markBest,
  markLatest,
  saveFailure,
} from './save-stages.js';
export { countWriters, divideBySize, divideTensors, shardName } from './shard-plan.js';
export { type ShardFile, ShardWriter, type WrittenShard } from './shard-writer.js';
export { dropSpares } from './spare-files.js';
