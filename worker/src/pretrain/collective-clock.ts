// Measures how long a rank waits in collectives; nothing else.
import type { ProcessGroup } from '@slip/comms';
import type { StepCollectives } from '@slip/engine';

export interface CollectiveClock {
  totalMs: number;
  reset(): void;
}

export function createCollectiveClock(): CollectiveClock {
  return {
    totalMs: 0,
    reset() {
      this.totalMs = 0;
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
