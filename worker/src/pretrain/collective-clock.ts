// Measures how long a rank is in collectives, and how long its step waits for them; nothing else.
import type { ProcessGroup } from '@slip/comms';
import type { StepCollectives } from '@slip/engine';

export interface CommTimes {
  /** Collectives under way, ms. Where they run in a thread of their own, partly at the same time as the computation. */
  commMs: number;
  /** The step waited for them, ms. Equal to `commMs` without such a thread. */
  exposedMs: number;
}

export interface CollectiveClock {
  /** Waited for collectives since `reset`, ms. */
  totalMs: number;
  reset(): void;
  /** Times since `reset`, which are added to `run`. */
  readStep(): CommTimes;
  /** Of all steps read so far. */
  readonly run: CommTimes;
}

/** @param group the one whose own thread is counted */
export function createCollectiveClock(group?: ProcessGroup): CollectiveClock {
  const threadMs = () => group?.traffic.threadMs ?? 0;
  let threadMsBefore = threadMs();
  return {
    totalMs: 0,
    run: { commMs: 0, exposedMs: 0 },
    reset() {
      this.totalMs = 0;
      threadMsBefore = threadMs();
    },
    readStep() {
      const aside = threadMs() - threadMsBefore;
      const times = { commMs: aside > 0 ? aside : this.totalMs, exposedMs: this.totalMs };
      this.run.commMs += times.commMs;
      this.run.exposedMs += times.exposedMs;
      return times;
    },
  };
}

export async function timed<T>(clock: CollectiveClock, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  try {
    return await work();
  } finally {
    clock.totalMs += performance.now() - startedAt;
  }
}

/** The group's collectives as the engine wants them, with their time added to `clock`. */
export function timedCollectives(group: ProcessGroup, clock: CollectiveClock): StepCollectives {
  return {
    allGather: (input, output, lengths) => timed(clock, () => group.allGather(input, output, lengths)),
    reduceScatter: (input, output, lengths) => timed(clock, () => group.reduceScatter(input, output, lengths)),
    allReduce: (buffer) => timed(clock, () => group.allReduce(buffer)),
  };
}
