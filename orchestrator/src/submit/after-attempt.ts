// What follows when an attempt has ended: a pure decision from what slip-launch and Slurm say. The batch script asks at its end,
// and may requeue its job; who watches from outside asks when the job is over, and may submit the run again.
import { ERROR_CODES } from '@slip/core';
import type { JobFacts } from './job-facts.js';
import type { RestartLimits } from './submit-plan.js';

/** Why an attempt ended, as far as coming back is concerned. */
export type AttemptCause =
  | 'finished'
  | 'preempted'
  | 'timed-out'
  | 'signalled'
  | 'node-failure'
  | 'crashed'
  | 'final-error'
  | 'ended-by-slurm'
  | 'superseded'
  | 'slurm-silent';

export interface AttemptEnd {
  /** The batch script while its job runs, or a watcher once the job is over. */
  readonly asker: 'script' | 'watch';
  /** Exit code of the step: that of slip-launch. */
  readonly exitCode: number;
  /** Undefined when Slurm did not answer. */
  readonly job: JobFacts | undefined;
  /** What the batch script found, where a watcher asks after it. */
  readonly knownCause?: AttemptCause;
  /** How often the job had been requeued when this attempt began. */
  readonly restartCount: number;
  readonly now: Date;
  readonly signalLeadSeconds: number;
  /** Step of the newest checkpoint, 0 for none. */
  readonly step: number;
  /** The last step that was done, saved or not. */
  readonly reachedStep: number;
  /** How often the run came back before, oldest first. */
  readonly history: readonly { readonly cause: string; readonly step: number }[];
  readonly limits: RestartLimits;
}

export interface NextMove {
  readonly action: 'complete' | 'requeue' | 'resubmit' | 'leave' | 'give-up';
  readonly cause: AttemptCause;
  /** One sentence for people. */
  readonly reason: string;
}

/** Attempts in a row that saved no new step, after which a run is given up. */
export const MAX_WITHOUT_PROGRESS = 3;

/** Slurm may send the signal ahead of the time limit up to a minute early, and looks at limits every half minute. */
const SIGNAL_SLACK_SECONDS = 90;

const FINAL_CODES: readonly (keyof typeof ERROR_CODES)[] = [
  'config',
  'data',
  'non-finite',
  'checkpoint',
  'unsupported',
];

export function decideNext(end: AttemptEnd): NextMove {
  const move = chooseMove(end);
  const { step, reachedStep } = end;
  if (move.action === 'complete' || reachedStep <= step) return move;
  const lost = reachedStep === step + 1 ? `step ${reachedStep} was` : `steps ${step + 1} to ${reachedStep} were`;
  return { ...move, reason: `${move.reason}; ${lost} not saved` };
}

function chooseMove(end: AttemptEnd): NextMove {
  const { exitCode, job, step } = end;
  if (exitCode === 0) return { action: 'complete', cause: 'finished', reason: 'the run has finished' };
  if (job === undefined)
    return {
      action: 'leave',
      cause: 'slurm-silent',
      reason:
        end.asker === 'watch'
          ? 'Slurm has forgotten the job; slip-submit resume goes on with the run'
          : 'Slurm does not answer, and only it could requeue the job',
    };
  // On a node that Slurm had lost sight of, an old attempt may end while its job runs again: requeueing would hit that one.
  if (job.restarts > end.restartCount && job.state === 'RUNNING')
    return {
      action: 'leave',
      cause: 'superseded',
      reason: 'Slurm has started this job again; this attempt is an old one',
    };
  if (end.asker === 'watch' && CANCELLED_STATES.includes(job.state))
    return { action: 'leave', cause: 'ended-by-slurm', reason: `the job was ended on purpose (${job.state})` };
  if (end.asker === 'script' && job.state !== 'RUNNING')
    return {
      action: 'leave',
      cause: 'ended-by-slurm',
      reason: `Slurm is ending the job itself (${job.state}): cancelled, requeued or its node was lost`,
    };
  const final = FINAL_CODES.find((code) => ERROR_CODES[code] === exitCode);
  if (final !== undefined)
    return { action: 'give-up', cause: 'final-error', reason: `[${final}] would come again; mend it and submit again` };

  const cause = causeOf(end);
  const { count, limit, flag } = countOf(cause, end);
  if (count >= limit)
    return {
      action: 'give-up',
      cause,
      reason: `${cause}${count === 0 ? '' : ` ${count + 1} times`}, and ${flag} is ${limit}`,
    };
  const idle = attemptsWithoutProgress(end);
  if (idle >= MAX_WITHOUT_PROGRESS)
    return { action: 'give-up', cause, reason: `${idle} attempts in a row saved no step after ${step}` };
  const reason = `${cause}, ${count + 1} of ${limit}; goes on from step ${step}`;
  if (end.asker === 'watch') return { action: 'resubmit', cause, reason };
  if (job.requeueAllowed) return { action: 'requeue', cause, reason };
  return {
    action: 'give-up',
    cause,
    reason: `${cause}, but this job may not be requeued (Requeue=0); slip-submit watch or resume submits it again`,
  };
}

const CANCELLED_STATES = ['CANCELLED', 'DEADLINE', 'REVOKED'];

/** How Slurm itself ended a job, where no script was left to find out. */
const CAUSE_OF_STATE: Readonly<Record<string, AttemptCause>> = {
  PREEMPTED: 'preempted',
  TIMEOUT: 'timed-out',
  NODE_FAIL: 'node-failure',
  BOOT_FAIL: 'node-failure',
  OUT_OF_MEMORY: 'crashed',
};

function causeOf({ exitCode, job, knownCause, now, signalLeadSeconds }: AttemptEnd): AttemptCause {
  const bySlurm = CAUSE_OF_STATE[job?.state ?? ''];
  if (bySlurm !== undefined) return bySlurm;
  if (knownCause !== undefined && knownCause !== 'ended-by-slurm') return knownCause;
  if (exitCode === ERROR_CODES.stopped) {
    if (job?.preemptTime !== undefined && job.preemptTime >= (job.startTime ?? job.preemptTime)) return 'preempted';
    const leftSeconds =
      job?.endTime === undefined ? Number.POSITIVE_INFINITY : (job.endTime.getTime() - now.getTime()) / 1000;
    return leftSeconds <= signalLeadSeconds + SIGNAL_SLACK_SECONDS ? 'timed-out' : 'signalled';
  }
  const isPeer = exitCode === ERROR_CODES['peer-lost'] || exitCode === ERROR_CODES.rendezvous;
  return isPeer ? 'node-failure' : 'crashed';
}

function countOf(cause: AttemptCause, { history, limits }: AttemptEnd): { count: number; limit: number; flag: string } {
  const among = (...causes: AttemptCause[]) =>
    history.filter((past) => causes.includes(past.cause as AttemptCause)).length;
  switch (cause) {
    case 'timed-out':
      return { count: among('timed-out'), limit: limits.timeouts, flag: '--max-timeouts' };
    case 'node-failure':
      return { count: among('node-failure'), limit: limits.nodeFailures, flag: '--max-node-failures' };
    case 'crashed':
      return { count: among('crashed'), limit: limits.crashes, flag: '--max-crashes' };
    default:
      return { count: among('preempted', 'signalled'), limit: limits.preemptions, flag: '--max-preemptions' };
  }
}

/** This one included. */
function attemptsWithoutProgress({ history, step }: AttemptEnd): number {
  let idle = 0;
  for (let i = history.length - 1; i >= 0 && history[i]!.step >= step; i--) idle += 1;
  return idle;
}
