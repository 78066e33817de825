// What a training task will do, as text for --dry-run, with the size of its set where that can be told.
import { type AnyConfig, describeClassifier, describePlan } from '@slip/config';
import { knownSize } from './known-size.js';

/** @throws SlipError `config` when an epoch would have no step */
export async function describeTask(config: AnyConfig): Promise<string> {
  if (config.task === undefined) return describePlan(config, await knownSize(config));
  return describeClassifier(config, await labelledSize(config));
}

async function labelledSize(config: Exclude<AnyConfig, { task?: never }>): Promise<number | undefined> {
  const { locateLabelled, openLabelled } = await import('@slip/data');
  try {
    const dataset = await openLabelled((await locateLabelled(config)).train);
    dataset.close();
    return dataset.length;
  } catch {
    return undefined;
  }
}
