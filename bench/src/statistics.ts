// Median, spread and ratio of repeated measurements; pure.

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly rounds: number;
}

export function summarise(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted[sorted.length - 1], rounds: sorted.length };
}

/** How many times better ours is than the peer, from the medians; above 1 is ahead. */
export function advantage(ours: Summary, peer: Summary, higherIsBetter: boolean): number {
  return higherIsBetter ? ours.median / peer.median : peer.median / ours.median;
}
