// What follows an attempt, asked by its batch script and by who watches the run.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { appendEvent } from '../launch/run-store.js';
import { afterAttempt } from './after.js';
import { type AttemptEnd, decideNext, MAX_WITHOUT_PROGRESS } from './after-attempt.js';
import { comebacks } from './attempts.js';
import { parseJobFacts } from './job-facts.js';

const LINE =
  'JobId=12 JobName=my run UserId=ann(1) JobState=RUNNING Reason=None Dependency=(null) Requeue=1 Restarts=2 ExitCode=0:0 ' +
  'TimeLimit=01:00:00 StartTime=2026-01-01T10:00:00 EndTime=2026-01-01T11:00:00 PreemptTime=None Partition=low ' +
  'ReqNodeList=(null) NodeList=node[01-02] BatchHost=node01 Comment=a b WorkDir=/w StdOut=/w/12.out';

test('what follows an attempt depends on its cause, as Slurm knows it', () => {
  const job = parseJobFacts(LINE)!;
  const limits = { timeouts: 30, preemptions: 30, nodeFailures: 10, crashes: 3 };
  const inTheMiddle = new Date('2026-01-01T10:30:00');
  const usual: AttemptEnd = {
    asker: 'script',
    exitCode: 75,
    job,
    restartCount: 2,
    now: inTheMiddle,
    signalLeadSeconds: 120,
    step: 50,
    reachedStep: 50,
    history: [],
    limits,
  };
  const next = (change: Partial<AttemptEnd>) => {
    const { action, cause } = decideNext({ ...usual, ...change });
    return `${action} ${cause}`;
  };
  const past = (cause: string, ...steps: number[]) => steps.map((step) => ({ cause, step }));
  const preempted = { ...job, preemptTime: new Date('2026-01-01T10:29:50') };
  const cases: [Partial<AttemptEnd>, string][] = [
    [{ exitCode: 0 }, 'complete finished'],
    [{ exitCode: 0, job: { ...job, state: 'COMPLETING' } }, 'complete finished'],
    [{ job: preempted }, 'requeue preempted'],
    [{ job: { ...job, preemptTime: new Date('2026-01-01T09:00:00') } }, 'requeue signalled'],
    [{ now: new Date('2026-01-01T10:57:00') }, 'requeue timed-out'],
    [{}, 'requeue signalled'],
    [{ job: undefined }, 'leave slurm-silent'],
    [{ restartCount: 1 }, 'leave superseded'],
    [{ restartCount: 1, job: { ...job, state: 'PENDING' } }, 'leave ended-by-slurm'],
    [{ job: { ...job, state: 'COMPLETING' } }, 'leave ended-by-slurm'],
    [{ job: { ...job, state: 'CANCELLED' } }, 'leave ended-by-slurm'],
    ...[2, 3, 6, 7, 8].map((exitCode): [Partial<AttemptEnd>, string] => [{ exitCode }, 'give-up final-error']),
    [{ exitCode: 5 }, 'requeue node-failure'],
    [{ exitCode: 4 }, 'requeue node-failure'],
    [{ exitCode: 9 }, 'requeue crashed'],
    [{ exitCode: 137 }, 'requeue crashed'],
    [{ exitCode: 9, history: past('crashed', 1, 2, 3) }, 'give-up crashed'],
    [{ exitCode: 9, history: past('preempted', 1, 2, 3, 4) }, 'requeue crashed'],
    [{ exitCode: 9, limits: { ...limits, crashes: 0 } }, 'give-up crashed'],
    [{ job: { ...job, requeueAllowed: false } }, 'give-up signalled'],
    [{ job: preempted, history: past('preempted', 10, 50, 50) }, 'requeue preempted'],
    [{ job: preempted, history: past('preempted', ...Array(MAX_WITHOUT_PROGRESS).fill(50)) }, 'give-up preempted'],
  ];
  for (const [change, expected] of cases) assert.equal(next(change), expected, JSON.stringify(change));
  const over = (state: string, change: Partial<AttemptEnd> = {}): [Partial<AttemptEnd>, string] => [
    { asker: 'watch', exitCode: 137, ...change, job: { ...job, state } },
    '',
  ];
  const watched: [[Partial<AttemptEnd>, string], string][] = [
    [over('PREEMPTED'), 'resubmit preempted'],
    [over('PREEMPTED', { exitCode: 75, knownCause: 'ended-by-slurm' }), 'resubmit preempted'],
    [over('TIMEOUT'), 'resubmit timed-out'],
    [over('NODE_FAIL'), 'resubmit node-failure'],
    [over('OUT_OF_MEMORY'), 'resubmit crashed'],
    [over('FAILED', { exitCode: 75, knownCause: 'preempted' }), 'resubmit preempted'],
    [over('FAILED', { exitCode: 9 }), 'resubmit crashed'],
    [over('FAILED', { exitCode: 6 }), 'give-up final-error'],
    [over('CANCELLED'), 'leave ended-by-slurm'],
    [over('COMPLETED', { exitCode: 0 }), 'complete finished'],
    [over('TIMEOUT', { history: past('timed-out', 1, 2), limits: { ...limits, timeouts: 2 } }), 'give-up timed-out'],
    [over('PREEMPTED', { history: past('preempted', 50, 50, 50) }), 'give-up preempted'],
  ];
  for (const [[change], expected] of watched) assert.equal(next(change), expected, JSON.stringify(change));
  assert.deepEqual(
    comebacks([
      { time: '1', event: 'requeued', cause: 'preempted', step: 4 },
      { time: '2', event: 'requeued', cause: 'crashed', step: 8 },
      { time: '3', event: 'gave-up', requeueDenied: true },
      { time: '4', event: 'resubmitted', cause: 'crashed', step: 8 },
    ]),
    [
      { cause: 'preempted', step: 4 },
      { cause: 'crashed', step: 8 },
    ],
    'what Slurm refused does not count twice',
  );
  const { reason } = decideNext({ ...usual, exitCode: 9, reachedStep: 53 });
  assert.equal(reason, 'crashed, 1 of 3; goes on from step 50; steps 51 to 53 were not saved');
});

test('a step that ended with 0 counts as finished only when its ranks had finished', async (context) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-after-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const limits = { timeouts: 30, preemptions: 30, nodeFailures: 10, crashes: 0 };
  const asked: string[] = [];
  const after = () =>
    afterAttempt(
      { runFolder: folder, exitCode: 0, jobId: '12', restartCount: 2, signalLeadSeconds: 120, limits },
      async ({ args }) => {
        asked.push(args.join(' '));
        return LINE;
      },
      () => undefined,
    );
  const lastEvent = () =>
    JSON.parse(readFileSync(path.join(folder, 'events.jsonl'), 'utf8').trim().split('\n').at(-1)!);
  await appendEvent(folder, { event: 'started' });
  assert.equal(await after(), 5);
  assert.deepEqual([lastEvent().event, lastEvent().cause, asked.at(-1)], ['requeued', 'node-failure', 'requeue 12']);
  await appendEvent(folder, { event: 'started' });
  await appendEvent(folder, { event: 'finished' });
  assert.equal(await after(), 0);
  assert.equal(lastEvent().event, 'completed');
});
