// A resolved configuration as the flags that give it again. Pure.
import { configKey, type FlagDefinition } from './flag-definition.js';
import { flagsOf } from './tasks.js';
import type { TrainingConfig } from './training-config.js';

/**
 * `--name=value` for every setting that is not the default, except the run folder, which whoever uses this gives, and rows per
 * micro-batch that follow from the others.
 */
export function commandLineOf(config: TrainingConfig): string[] {
  const isUsual = config.rowsPerMicroBatch === config.batchSize * config.numNodes * config.nprocPerNode;
  return commandLineFrom(
    flagsOf(config.task).filter(({ name }) => name !== 'rows-per-micro-batch' || !isUsual),
    config,
  );
}

/** The same for any table of flags. */
export function commandLineFrom(flags: readonly FlagDefinition[], config: object): string[] {
  return flags.flatMap(({ name, default: usual }) => {
    const value = (config as Readonly<Record<string, unknown>>)[configKey(name)];
    if (name === 'output-dir' || value === undefined || JSON.stringify(value) === JSON.stringify(usual)) return [];
    return value === true ? `--${name}` : `--${name}=${Array.isArray(value) ? value.join(',') : value}`;
  });
}
