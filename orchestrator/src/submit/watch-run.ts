// `slip-submit watch RUN` and `slip-submit --follow`: looks at the job of a run until it is over, and submits the run again
// where Slurm will not bring it back by itself. When that is so is decided in after-attempt.ts, as for the batch script.
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ERROR_CODES, SlipError } from '@slip/core';
import { appendEvent } from '../launch/run-store.js';
import { type AttemptCause, decideNext, type NextMove } from './after-attempt.js';
import { comebacks } from './attempts.js';
import type { JobFacts } from './job-facts.js';
import { isActive, type JobQuery } from './job-query.js';
import type { Sent } from './send.js';
import {
  newestCheckpointStep,
  newestStepRecords,
  readEvents,
  readSubmissions,
  type SubmissionRecord,
} from './submit-record.js';

export interface WatchOptions {
  readonly runFolder: string;
  readonly jobs: JobQuery;
  readonly resubmit: (submission: SubmissionRecord) => Promise<Sent>;
  readonly everyMs: number;
  readonly say: (news: WatchNews) => void;
}

/** Something that a person wants to know. */
export interface WatchNews {
  readonly jobId: number;
  readonly event: 'state' | 'no-answer' | NextMove['action'];
  readonly text: string;
}

/** @returns 0 when the run has finished, else the exit code of its last attempt */
export async function watchRun(options: WatchOptions): Promise<number> {
  const { runFolder, jobs, everyMs, say } = options;
  let lastSaid = '';
  let refusals = 0;
  for (;;) {
    const submission = await newestSubmission(runFolder);
    const { jobId } = submission;
    const sayOnce = (event: WatchNews['event'], text: string) => {
      if (lastSaid !== `${jobId} ${text}`) say({ jobId, event, text });
      lastSaid = `${jobId} ${text}`;
    };
    try {
      const facts = await jobs.facts(jobId);
      if (!isActive(facts)) {
        const { move, exitCode } = await decideAtEnd(runFolder, submission, facts);
        say({ jobId, event: move.action, text: move.reason });
        if (move.action !== 'resubmit') return move.action === 'complete' ? 0 : exitCode;
        refusals += 1;
        await submitAgain(options, submission, move);
        refusals = 0;
        continue;
      }
      sayOnce('state', describe(facts!));
    } catch (thrown) {
      const error = SlipError.from(thrown);
      // A controller that is being restarted answers again.
      if (error.code !== 'scheduler' || refusals >= MAX_REFUSALS) throw error;
      sayOnce('no-answer', error.message);
    }
    await sleep(everyMs);
  }
}

function describe({ state, reason, restarts }: JobFacts): string {
  const why = reason === '' || reason === 'None' ? '' : ` (${reason})`;
  return `${state}${why}${restarts === 0 ? '' : `, requeued ${restarts} times`}`;
}

async function decideAtEnd(
  runFolder: string,
  { jobId, plan }: SubmissionRecord,
  facts: JobFacts | undefined,
): Promise<{ move: NextMove; exitCode: number }> {
  const events = await readEvents(runFolder);
  // What the script itself could still write down. An earlier attempt of the same job may have ended otherwise.
  const own = events.findLast(
    (event) =>
      DECISIONS.includes(event.event) &&
      event.jobId === jobId &&
      event.restartCount === (facts?.restarts ?? event.restartCount),
  );
  const exitCode = own?.exitCode === undefined ? exitCodeOf(facts) : Number(own.exitCode);
  const step = await newestCheckpointStep(runFolder);
  const move = decideNext({
    asker: 'watch',
    exitCode,
    job: facts,
    ...(own === undefined ? {} : { knownCause: own.cause as AttemptCause }),
    restartCount: facts?.restarts ?? 0,
    now: new Date(),
    signalLeadSeconds: plan.signalLeadSeconds,
    step,
    reachedStep: Number((await newestStepRecords(runFolder)).at(-1)?.step ?? 0),
    history: comebacks(events),
    limits: plan.limits,
  });
  return { move, exitCode };
}

const DECISIONS: readonly string[] = ['completed', 'left', 'gave-up'];

/** `75:0` and `0:9` of Slurm, as a shell would say it. */
function exitCodeOf(facts: JobFacts | undefined): number {
  const [code = 0, signal = 0] = (facts?.exitCode ?? '').split(':').map(Number);
  if (signal > 0) return 128 + signal;
  return facts?.state === 'COMPLETED' || code > 0 ? code : ERROR_CODES.scheduler;
}

async function submitAgain(
  { runFolder, resubmit }: WatchOptions,
  submission: SubmissionRecord,
  move: NextMove,
): Promise<void> {
  const { jobId } = submission;
  if (!(await claim(runFolder, jobId)))
    throw new SlipError(
      'config',
      `${runFolder}: job ${jobId} is being submitted again by another slip-submit; if that one is gone, use slip-submit resume`,
    );
  const step = await newestCheckpointStep(runFolder);
  // Written first: the new job may begin, and write, before we hear of it.
  await appendEvent(runFolder, { event: 'resubmitted', jobId, cause: move.cause, reason: move.reason, step });
  try {
    await resubmit(submission);
  } catch (thrown) {
    const error = SlipError.from(thrown);
    const reason = `Slurm did not take the run again: ${error.message}`;
    await appendEvent(runFolder, { event: 'gave-up', jobId, reason, requeueDenied: true });
    await rm(claimFile(runFolder, jobId), { force: true });
    throw error;
  }
}

/** What is refused so often in a row is not a controller that is being restarted. */
const MAX_REFUSALS = 10;

/** Two who watch one run must not both submit it: the first to make this file does. */
async function claim(runFolder: string, jobId: number): Promise<boolean> {
  try {
    await (await open(claimFile(runFolder, jobId), 'wx')).close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new SlipError('data', `cannot write the run folder ${runFolder}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function claimFile(runFolder: string, jobId: number): string {
  return path.join(runFolder, 'slurm', `job-${jobId}.resubmitted`);
}

async function newestSubmission(runFolder: string): Promise<SubmissionRecord> {
  const submission = (await readSubmissions(runFolder)).at(-1);
  if (submission !== undefined) return submission;
  throw new SlipError('data', `${runFolder} is not the folder of a run that slip-submit has submitted`);
}
