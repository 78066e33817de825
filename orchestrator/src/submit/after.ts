// `slip-submit after RUN --exit-code N`: the last line of the batch script. Asks Slurm, decides, writes it down, requeues.
import { setTimeout as sleep } from 'node:timers/promises';
import { ERROR_CODES, SlipError } from '@slip/core';
import { appendEvent } from '../launch/run-store.js';
import { type AttemptEnd, decideNext } from './after-attempt.js';
import { comebacks } from './attempts.js';
import { type JobFacts, parseJobFacts } from './job-facts.js';
import type { RunSlurm } from './slurm-command.js';
import type { RestartLimits } from './submit-plan.js';
import { newestCheckpointStep, newestStepRecords, readEvents } from './submit-record.js';

export interface AfterOptions {
  readonly runFolder: string;
  readonly exitCode: number;
  readonly jobId: string;
  readonly restartCount: number;
  readonly signalLeadSeconds: number;
  readonly limits: RestartLimits;
  /** How long to ask a Slurm that does not answer, default 5 min. */
  readonly askForMs?: number;
}

/** @returns the exit code of the batch script; an unfinished run never ends with 0, which Slurm would take for success */
export async function afterAttempt(
  options: AfterOptions,
  slurm: RunSlurm,
  say: (line: string) => void,
): Promise<number> {
  const { runFolder, jobId, restartCount } = options;
  const events = await readEvents(runFolder);
  // srun may say 0 for a step that it lost sight of.
  const exitCode = options.exitCode === 0 && !hasFinished(events) ? ERROR_CODES['peer-lost'] : options.exitCode;
  const end: AttemptEnd = {
    asker: 'script',
    exitCode,
    job: await askJob(options, slurm, say),
    restartCount,
    now: new Date(),
    signalLeadSeconds: options.signalLeadSeconds,
    step: await newestCheckpointStep(runFolder),
    reachedStep: Number((await newestStepRecords(runFolder)).at(-1)?.step ?? 0),
    history: comebacks(events),
    limits: options.limits,
  };
  const move = decideNext(end);
  const facts = {
    jobId: Number(jobId),
    restartCount,
    exitCode,
    cause: move.cause,
    reason: move.reason,
    step: end.step,
  };
  const record = (event: 'completed' | 'requeued' | 'left' | 'gave-up', more: Record<string, unknown> = {}) =>
    appendEvent(runFolder, { event, ...facts, ...more });
  say(`slip-submit: ${move.action}: ${move.reason}`);
  switch (move.action) {
    case 'complete':
      await record('completed');
      return 0;
    case 'leave':
      // The event log belongs to the newer attempt by then.
      if (move.cause !== 'superseded') await record('left');
      return exitCode;
    case 'give-up':
    case 'resubmit':
      await record('gave-up');
      return exitCode;
    case 'requeue':
      // Written first: the requeue ends this process too.
      await record('requeued');
      try {
        await slurm({ program: 'scontrol', args: ['requeue', jobId] });
      } catch (thrown) {
        const error = SlipError.from(thrown);
        if (error.details.signal === null || error.details.signal === undefined) {
          say(`slip-submit: ${error.message}`);
          const reason = `Slurm did not requeue the job: ${error.message}; slip-submit watch or resume submits it again`;
          await record('gave-up', { reason, requeueDenied: true });
        }
      }
      return exitCode;
    default:
      return move.action satisfies never;
  }
}

/** Whether the newest launch wrote that all ranks had finished. */
function hasFinished(events: readonly { readonly event: string }[]): boolean {
  return events.findLast(({ event }) => LAUNCH_EVENTS.includes(event))?.event === 'finished';
}

const LAUNCH_EVENTS = ['started', 'restarted', 'failed', 'stopped', 'finished'];

/** A controller that is being restarted answers again: nothing else is waiting for this script. */
async function askJob(
  { jobId, askForMs = 300_000 }: AfterOptions,
  slurm: RunSlurm,
  say: (line: string) => void,
): Promise<JobFacts | undefined> {
  for (const end = Date.now() + askForMs; ; await sleep(ASK_EVERY_MS)) {
    try {
      return parseJobFacts(await slurm({ program: 'scontrol', args: ['--oneliner', 'show', 'job', jobId] }));
    } catch (thrown) {
      say(`slip-submit: ${SlipError.from(thrown).message}`);
    }
    if (Date.now() >= end) return undefined;
  }
}

const ASK_EVERY_MS = 5000;
