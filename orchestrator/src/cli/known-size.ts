// How large a dataset is, as far as that can be told without training. For plans.
import type { RunConfig } from '@slip/config';

/** The set itself where it is at hand; else the published size of the set of this name. */
export async function knownSize(config: RunConfig): Promise<{ size: number; source: string } | undefined> {
  const { openDataset, publishedDatasetSize } = await import('@slip/data');
  try {
    const dataset = await openDataset(config);
    dataset.close();
    return { size: dataset.length, source: config.metadata || config.root };
  } catch {
    const size = publishedDatasetSize(config.dataset);
    return size === undefined ? undefined : { size, source: 'published size; the files are not here' };
  }
}
