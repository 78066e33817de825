// A resolved configuration as the flags that give it again. Pure.
import { configKey, PRETRAIN_FLAGS } from './flags.js';
import type { RunConfig } from './run-config.js';

/**
 * `--name=value` for every setting that is not the default, except the run folder, which whoever uses this gives, and rows per
 * micro-batch that follow from the others.
 */
export function commandLineOf(config: RunConfig): string[] {
  const usualRows = config.batchSize * config.numNodes * config.nprocPerNode;
  return PRETRAIN_FLAGS.flatMap(({ name, default: usual }) => {
    const value = config[configKey(name) as keyof RunConfig];
    if (name === 'rows-per-micro-batch' && value === usualRows) return [];
    if (name === 'output-dir' || value === undefined || JSON.stringify(value) === JSON.stringify(usual)) return [];
    return value === true ? `--${name}` : `--${name}=${Array.isArray(value) ? value.join(',') : value}`;
  });
}
