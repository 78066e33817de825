// What makes two configurations the same run. Pure.
import { createHash } from 'node:crypto';
import { configKey, type FlagDefinition } from './flag-definition.js';
import type { TrainingConfig } from './training-config.js';

/**
 * SHA-256 of what makes a run the same run. Not how many ranks it has, nor their rows: only the rows of a micro-batch over all
 * of them, so that a run may continue on another number of ranks with the same micro-batches.
 * @param flags those of its task
 */
export function hashConfig(config: TrainingConfig, flags: readonly FlagDefinition[]): string {
  return createHash('sha256')
    .update(JSON.stringify(identityOf(config, flags)))
    .digest('hex');
}

/** The settings behind the hash, by name. */
export function identityOf(config: TrainingConfig, flags: readonly FlagDefinition[]): Record<string, unknown> {
  const identity: Record<string, unknown> = config.task === undefined ? {} : { task: config.task };
  for (const { name, mayChange } of flags) {
    const key = configKey(name);
    if (mayChange !== true && key !== 'batchSize') identity[key] = config[key as keyof TrainingConfig];
  }
  return identity;
}
