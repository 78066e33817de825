// Run configuration: the flag table, recipes, what a run is and what it amounts to.
export {
  type BenchCommConfig,
  type BenchOperation,
  parseSizes,
  readBenchComm,
  resolveBenchComm,
  writeBenchComm,
} from './bench-comm.js';
export { checkpointBytes } from './checkpoint-bytes.js';
export { commandLineFrom, commandLineOf } from './command-line.js';
export { describeClassifier } from './describe-classifier.js';
export {
  type FinetuneConfig,
  type FinetuneSizes,
  finetuneSizes,
  mixes,
  resolveFinetuneConfig,
} from './finetune-config.js';
export { type FlagDefinition, PRETRAIN_FLAGS } from './flags.js';
export { initialLr, type LabelledDataConfig, type LinearConfig, resolveLinearConfig } from './linear-config.js';
export { describePlan, describeRows, type Plan, planTraining, rowsOfRanks } from './plan.js';
export { scalesLoss } from './precision.js';
export { readFlagFile, readRecipe } from './recipe.js';
export type { ResolvedConfig, TaskInput } from './resolve.js';
export { modelOf, type RunConfig, resolvePretrainConfig } from './run-config.js';
export { continueRun, readPlan, readRunConfig, writePlan, writeRunConfig } from './run-folder.js';
export { type AnyConfig, isTrainingTask, resolveTask } from './tasks.js';
export { checkTraining, type TaskName, type TrainingConfig } from './training-config.js';
export {
  type EmbedConfig,
  type PredictConfig,
  type RecallConfig,
  type RetrieveConfig,
  readUse,
  resolveUse,
  type UseConfig,
  writeUse,
  type ZeroShotConfig,
} from './use-config.js';
export { checkValue } from './values.js';
