// A resolved configuration as the flags that give it again. Pure.
import { configKey } from './flag-definition.js';
import { flagsOf } from './tasks.js';
import type { TrainingConfig } from './training-config.js';

/**
 * `--name=value` for every setting that is not the default, except the run folder, which whoever uses this gives, and rows per
 * micro-batch that follow from the others.
 */
export function commandLineOf(config: TrainingConfig): string[] {
  const usualRows = config.batchSize * config.numNodes * config.nprocPerNode;
  return flagsOf(config.task).flatMap(({ name, default: usual }) => {
    const value = config[configKey(name) as keyof TrainingConfig];
    if (name === 'rows-per-micro-batch' && value === usualRows) return [];
    if (name === 'output-dir' || value === undefined || JSON.stringify(value) === JSON.stringify(usual)) return [];
    return value === true ? `--${name}` : `--${name}=${Array.isArray(value) ? value.join(',') : value}`;
  });
}
