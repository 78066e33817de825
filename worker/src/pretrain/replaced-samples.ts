// The summary of samples that could not be read, over all ranks.
import type { ProcessGroup } from '@slip/comms';
import type { Logger } from '@slip/core';
import type { TrainLoader } from '@slip/data';

const MAX_SHOWN = 5;

/** All ranks take part; rank 0 says it. */
export async function tellReplaced(
  loaders: readonly Pick<TrainLoader, 'replacedSamples' | 'replacedBecause'>[],
  group: Pick<ProcessGroup, 'rank' | 'allGatherObject'>,
  log: Logger,
): Promise<void> {
  const own = {
    count: loaders.reduce((sum, { replacedSamples }) => sum + replacedSamples, 0),
    because: loaders.flatMap(({ replacedBecause }) => replacedBecause).slice(0, MAX_SHOWN),
  };
  const ranks = await group.allGatherObject(own);
  const count = ranks.reduce((sum, rank) => sum + rank.count, 0);
  if (group.rank !== 0 || count === 0) return;
  log.warn(`${count} unreadable samples were replaced`);
  const because = [...new Set(ranks.flatMap((rank) => rank.because))];
  for (const why of because.slice(0, MAX_SHOWN)) log.warn(`  ${why}`);
  if (count > Math.min(because.length, MAX_SHOWN)) log.warn('  slip-data verify lists them all');
}
