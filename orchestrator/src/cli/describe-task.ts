// What a training task will do, as text for --dry-run, with the size of its set where that can be told.
import { type AnyConfig, describeClassifier, describePlan, type ZeroShotConfig } from '@slip/config';
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

/** The sets of an evaluation, where they are and what is missing. @throws SlipError `data` naming the catalogue */
export async function describeZeroShot(config: ZeroShotConfig): Promise<string> {
  const { catalogNames, downstreamSet, isLabelledSetThere, locateInCatalog } = await import('@slip/data');
  const names = config.datasets ?? (await catalogNames(config));
  const lines: string[] = [];
  for (const name of names) {
    const { root } = (await locateInCatalog(config, name)).validation;
    const what = (await isLabelledSetThere(config, name)) ? root : `${root}: not there`;
    lines.push(`  ${name.padEnd(20)} ${(downstreamSet(name)?.metric ?? 'accuracy').padEnd(15)} ${what}`);
  }
  return [`zero-shot classification of ${names.length} sets with ${config.resume}`, ...lines].join('\n');
}
