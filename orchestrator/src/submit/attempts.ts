// The attempts of a run, from its event log: when each began, where, and why it ended. Pure.
import type { RunEvent } from '../launch/run-store.js';

export interface Attempt {
  /** Number of its folder under attempts/. */
  readonly attempt: number;
  readonly jobId?: number;
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly hosts: readonly string[];
  readonly worldSize: number;
  /** How it ended: running, finished, stopped, failed, restarted. */
  readonly end: string;
  /** What followed, in a sentence; empty while nothing has. */
  readonly next: string;
  /** Step of the newest checkpoint at its end, where that is known. */
  readonly step?: number;
}

type TimedEvent = RunEvent & { readonly time: string };

export function attemptsOf(events: readonly TimedEvent[]): Attempt[] {
  const attempts: { -readonly [K in keyof Attempt]: Attempt[K] }[] = [];
  let jobId: number | undefined;
  for (const event of events) {
    const last = attempts.at(-1);
    switch (event.event) {
      case 'submitted':
        jobId = Number(event.jobId);
        break;
      case 'started':
      case 'restarted':
        if (last !== undefined && last.endedAt === undefined) {
          // Nobody was left to write how it ended, or the launcher started the workers again.
          last.end = event.event === 'restarted' ? 'restarted' : 'lost';
          last.endedAt = event.time;
        }
        attempts.push({
          attempt: Number(event.attempt),
          ...(jobId === undefined ? {} : { jobId }),
          startedAt: event.time,
          hosts: (event.hosts as string[]) ?? [],
          worldSize: Number(event.worldSize),
          end: 'running',
          next: '',
        });
        break;
      case 'finished':
      case 'stopped':
      case 'failed':
        if (last !== undefined && last.endedAt === undefined) {
          last.end = event.event;
          last.endedAt = event.time;
        }
        break;
      case 'completed':
      case 'requeued':
      case 'resubmitted':
      case 'left':
      case 'gave-up':
      case 'cancelled':
        if (last !== undefined) {
          last.next = `${event.event}: ${event.reason ?? ''}`;
          if (event.step !== undefined) last.step = Number(event.step);
        }
        break;
      default:
        event.event satisfies never;
    }
  }
  return attempts;
}

/** How often the run came back, oldest first. What Slurm refused does not count. */
export function comebacks(events: readonly TimedEvent[]): { readonly cause: string; readonly step: number }[] {
  return events
    .filter(({ event }, i) => COMEBACKS.includes(event) && events[i + 1]?.requeueDenied !== true)
    .map(({ cause, step }) => ({ cause: String(cause), step: Number(step) }));
}

const COMEBACKS: readonly string[] = ['requeued', 'resubmitted'];

/** How many more times the run may come back, by cause. */
export function restartsLeft(
  events: readonly TimedEvent[],
  limits: {
    readonly timeouts: number;
    readonly preemptions: number;
    readonly nodeFailures: number;
    readonly crashes: number;
  },
): Record<string, number> {
  const used = (...causes: string[]) => comebacks(events).filter(({ cause }) => causes.includes(cause)).length;
  return {
    preempted: Math.max(0, limits.preemptions - used('preempted', 'signalled')),
    'timed-out': Math.max(0, limits.timeouts - used('timed-out')),
    'node-failure': Math.max(0, limits.nodeFailures - used('node-failure')),
    crashed: Math.max(0, limits.crashes - used('crashed')),
  };
}
