// Which checkpoints may go once a new one is in place. Pure; the deleting is done by save-checkpoint.ts.

export interface StoredCheckpoint {
  readonly step: number;
  /** COMMIT, manifest and sizes are right; says nothing of the contents. */
  readonly valid: boolean;
}

/**
 * The newest `keepLast` valid ones up to the saved step stay, and those that `keep` names. Later steps stay too: they are
 * of a time that this run went back behind (because they were damaged, or by a person's decision) and are not ours to judge.
 * @param saved the step just written; never among the answers
 * @returns steps to remove, oldest first
 */
export function planRetention(
  stored: readonly StoredCheckpoint[],
  options: { saved: number; keepLast: number; keep: (step: number) => boolean },
): number[] {
  const past = stored.filter(({ step }) => step <= options.saved).sort((a, b) => b.step - a.step);
  const recent = past.filter(({ valid }) => valid).slice(0, Math.max(1, options.keepLast));
  const oldestRecent = recent.at(-1)?.step ?? options.saved;
  return past
    .map(({ step }) => step)
    .filter((step) => step < oldestRecent && step !== options.saved && !options.keep(step))
    .reverse();
}
