// How the arena of gradients is cut into buckets that leave as the backward pass completes them (Li et al. 2020, PyTorch's DDP), and
// which part of each bucket is whose shard. Pure; sums and updates are the optimizer's.
import { shardLengths } from '@slip/comms';
import type { TensorEntry } from '@slip/model/architecture';

/** Elements [start, end) of the arenas, divided among the ranks. */
export interface Bucket {
  readonly start: number;
  readonly end: number;
  /** Elements of each rank's shard, in rank order. */
  readonly lengths: readonly number[];
  /** Parameters that lie in it. */
  readonly names: readonly string[];
}

/** Everything as one bucket: what is reduced when the whole backward pass is over. */
export function wholeBucket(entries: readonly TensorEntry[], worldSize: number): Bucket {
  return bucketOf(parametersOf(entries), worldSize);
}

/**
 * Contiguous ranges of whole tensors, in the order in which they are complete. A range is closed where the next tensor would make it
 * larger than `elements`, so a larger one is alone.
 * @param completion a number for each parameter that grows with the time at which its gradient is complete
 */
export function planBuckets(
  entries: readonly TensorEntry[],
  completion: (name: string) => number,
  elements: number,
  worldSize: number,
): readonly Bucket[] {
  const drafts: TensorEntry[][] = [];
  let size = 0;
  for (const entry of parametersOf(entries)) {
    if (drafts.length === 0 || size + entry.size > elements) {
      drafts.push([]);
      size = 0;
    }
    drafts.at(-1)!.push(entry);
    size += entry.size;
  }
  const endOf = (draft: readonly TensorEntry[]) => Math.max(...draft.map(({ name }) => completion(name)));
  // Equal ends keep the order of the arena: the same on every rank.
  return drafts.sort((a, b) => endOf(a) - endOf(b) || a[0].offset - b[0].offset).map((d) => bucketOf(d, worldSize));
}

/** The shard of a rank in a bucket, as elements of the arenas. */
export function shardOf({ start, lengths }: Bucket, rank: number): { start: number; end: number } {
  const from = lengths.slice(0, rank).reduce((sum, length) => sum + length, start);
  return { start: from, end: from + lengths[rank] };
}

function parametersOf(entries: readonly TensorEntry[]): TensorEntry[] {
  return entries.filter(({ kind }) => kind === 'param');
}

function bucketOf(tensors: readonly TensorEntry[], worldSize: number): Bucket {
  const start = tensors[0].offset;
  const end = tensors.at(-1)!.offset + tensors.at(-1)!.size;
  return { start, end, lengths: shardLengths(end - start, worldSize), names: tensors.map(({ name }) => name) };
}
