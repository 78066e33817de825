// What makes two configurations the same run. Pure.
import { createHash } from 'node:crypto';
import { configKey, PRETRAIN_FLAGS } from './flags.js';
import type { RunConfig } from './run-config.js';

/**
 * SHA-256 of what makes a run the same run. Not how many ranks it has, nor their rows: only the rows of a micro-batch over all
 * of them, so that a run may continue on another number of ranks with the same micro-batches.
 */
export function hashConfig(config: RunConfig): string {
  return createHash('sha256')
    .update(JSON.stringify(identityOf(config)))
    .digest('hex');
}

/** The settings behind the hash, by name. */
export function identityOf(config: RunConfig): Record<string, unknown> {
  const identity: Record<string, unknown> = {};
  for (const { name, mayChange } of PRETRAIN_FLAGS) {
    const key = configKey(name);
    if (mayChange !== true && key !== 'batchSize') identity[key] = config[key as keyof RunConfig];
  }
  return identity;
}
