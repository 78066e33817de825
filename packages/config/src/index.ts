// Run configuration: the flag table, recipes, what a run is and what it amounts to.
export {
  type BenchCommConfig,
  type BenchOperation,
  parseSizes,
  readBenchComm,
  resolveBenchComm,
  writeBenchComm,
} from './bench-comm.js';
export { commandLineOf } from './command-line.js';
export { type FlagDefinition, PRETRAIN_FLAGS } from './flags.js';
export { checkpointBytes, describePlan, describeRows, type Plan, planPretrain, rowsOfRanks } from './plan.js';
export { parseRecipe, readFlagFile, readRecipe } from './recipe.js';
export { modelOf, type ResolvedConfig, type RunConfig, resolvePretrainConfig } from './run-config.js';
export { continueRun, readPlan, readRunConfig, writePlan, writeRunConfig } from './run-folder.js';
export { checkValue } from './values.js';
