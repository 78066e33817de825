// When the next checkpoint is due by the clock, and what one costs. Pure but for what it is told; steps and epochs are counted by
// the training loop.

export interface CadenceOptions {
  /** Minutes from one save to the next; 0 for none by the clock. */
  readonly everyMinutes: number;
  /** Share of the time that saving may cost, percent; 0 for none by cost. */
  readonly overheadPercent: number;
}

/** Before anything is measured, a save by cost comes after so long. */
const FIRST_SAVE_MS = 60_000;
/** Weight of the newest step in the usual time of a step. */
const NEWEST = 0.1;

/** @param costMs of the last save; undefined where there was none */
export function isSaveDue(options: CadenceOptions, sinceMs: number, costMs: number | undefined): boolean {
  const { everyMinutes, overheadPercent } = options;
  if (everyMinutes > 0 && sinceMs >= everyMinutes * 60_000) return true;
  if (overheadPercent <= 0) return false;
  return sinceMs >= (costMs === undefined ? FIRST_SAVE_MS : (costMs * 100) / overheadPercent);
}

/** What a save costs the training: standing still, and steps that are slower while it is being written. */
export class SaveCost {
  private usualStepMs: number | undefined;
  private stalledMs = 0;
  private slowedMs = 0;

  noteStep(stepMs: number, isWriting: boolean): void {
    if (isWriting) this.slowedMs += Math.max(0, stepMs - (this.usualStepMs ?? stepMs));
    else
      this.usualStepMs =
        this.usualStepMs === undefined ? stepMs : this.usualStepMs + NEWEST * (stepMs - this.usualStepMs);
  }

  noteStall(ms: number): void {
    this.stalledMs += ms;
  }

  /** The cost of the save that has just ended, ms; counting begins anew. */
  take(): { stallMs: number; costMs: number } {
    const [stallMs, costMs] = [this.stalledMs, this.stalledMs + this.slowedMs];
    this.stalledMs = 0;
    this.slowedMs = 0;
    return { stallMs, costMs };
  }
}
