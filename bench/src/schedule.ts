// Which case is run next within a budget of time. Pure.

export interface Progress {
  /** Rounds done and wanted. */
  readonly done: number;
  readonly wanted: number;
  /** How long a round took, ms; undefined before the first. */
  readonly roundMs: number | undefined;
}

/**
 * The case with the fewest rounds among those that still fit, in their order: every case gets a first round before one gets a second.
 *
 * @param leftMs until the end of the budget; a first round, whose length nobody knows, is begun while anything is left
 * @returns its index, or undefined when nothing is left to do or nothing fits
 */
export function nextCase(cases: readonly Progress[], leftMs: number): number | undefined {
  let next: number | undefined;
  for (const [i, { done, wanted, roundMs }] of cases.entries()) {
    const fits = (roundMs ?? 0) < leftMs;
    if (done < wanted && fits && (next === undefined || done < cases[next].done)) next = i;
  }
  return next;
}
