// How long a preempted job has to save: GraceTime of its partition, then KillWait. Read from Slurm, never assumed. Pure.

export interface SaveBudget {
  /** Slurm's word: REQUEUE, CANCEL, SUSPEND or OFF. */
  readonly preemptMode: string;
  readonly graceSeconds: number;
  readonly killWaitSeconds: number;
}

/**
 * @param partition output of `scontrol --oneliner show partition NAME`
 * @param config output of `scontrol show config`
 */
export function readSaveBudget(partition: string, config: string): SaveBudget {
  const number = (pattern: RegExp, text: string) => Number(pattern.exec(text)?.[1] ?? 0);
  return {
    preemptMode: /\bPreemptMode=(\S+)/.exec(partition)?.[1] ?? /^PreemptMode\s*=\s*(\S+)/m.exec(config)?.[1] ?? 'OFF',
    graceSeconds: number(/\bGraceTime=(\d+)/, partition),
    killWaitSeconds: number(/^KillWait\s*=\s*(\d+)/m, config),
  };
}

/** One sentence, or undefined where nothing can preempt the job. */
export function describeSaveBudget(partition: string, budget: SaveBudget, checkpointBytes: number): string | undefined {
  if (budget.preemptMode === 'OFF') return undefined;
  const total = budget.graceSeconds + budget.killWaitSeconds;
  const size = (checkpointBytes / 1e6).toFixed(0);
  const comesBack =
    budget.preemptMode === 'REQUEUE'
      ? ''
      : `; PreemptMode=${budget.preemptMode}: a job that could not save in time comes back only under --follow or slip-submit watch`;
  return (
    `partition ${partition} can be preempted, with ${budget.graceSeconds} s (GraceTime) + ${budget.killWaitSeconds} s (KillWait) ` +
    `to finish a step and save ${size} MB: ${(checkpointBytes / 1e6 / Math.max(1, total)).toFixed(0)} MB/s and more${comesBack}`
  );
}
