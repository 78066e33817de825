// The state of a run: what Slurm says of its job, and what its folder says of the training. Works without accounting.
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { readPlan } from '@slip/config';
import { SlipError } from '@slip/core';
import { attemptsOf, restartsLeft } from './attempts.js';
import type { JobQuery } from './job-query.js';
import { newestCheckpointStep, newestStepRecords, readEvents, readSubmissions } from './submit-record.js';

export interface RunStatus {
  readonly runFolder: string;
  readonly jobId: number;
  /** Slurm's state, or FORGOTTEN when Slurm no longer knows the job. */
  readonly state: string;
  readonly reason: string;
  readonly partition: string;
  readonly nodes: string;
  readonly requeues: number;
  readonly attempts: number;
  readonly step: number;
  readonly totalSteps?: number;
  readonly savedStep: number;
  readonly imagesPerSecond?: number;
  readonly etaSeconds?: number;
  readonly restartsLeft: Readonly<Record<string, number>>;
  /** The newest event of the run, in words. */
  readonly lastEvent: string;
}

/** @throws SlipError `data` when the folder is no submitted run, `scheduler` when Slurm does not answer */
export async function readRunStatus(runFolder: string, jobs: JobQuery): Promise<RunStatus> {
  const submission = (await readSubmissions(runFolder)).at(-1);
  if (submission === undefined)
    throw new SlipError('data', `${runFolder} is not the folder of a run that slip-submit has submitted`);
  const { jobId, plan } = submission;
  const [facts, events, training] = await Promise.all([
    jobs.facts(jobId),
    readEvents(runFolder),
    readTraining(runFolder),
  ]);
  const last = events.at(-1);
  return {
    runFolder,
    jobId,
    state: facts?.state ?? 'FORGOTTEN',
    reason: facts?.reason === undefined || facts.reason === 'None' ? '' : facts.reason,
    partition: facts?.partition ?? plan.partition ?? '',
    nodes: facts?.nodes ?? '',
    requeues: facts?.restarts ?? 0,
    attempts: attemptsOf(events).length,
    savedStep: await newestCheckpointStep(runFolder),
    ...training,
    restartsLeft: restartsLeft(events, plan.limits),
    lastEvent:
      last === undefined ? '' : `${last.time} ${last.event}${last.reason === undefined ? '' : `: ${last.reason}`}`,
  };
}

/** Newest step, speed over the last steps, and what is left by it. */
async function readTraining(runFolder: string) {
  const steps = await newestStepRecords(runFolder);
  const newest = steps.at(-1);
  const totalSteps = (await readPlan(runFolder))?.totalSteps;
  if (newest === undefined) return { step: 0, ...(totalSteps === undefined ? {} : { totalSteps }) };
  const mean = (key: string) =>
    steps.slice(-20).reduce((sum, step) => sum + Number(step[key]), 0) / Math.min(20, steps.length);
  const step = Number(newest.step);
  return {
    step,
    imagesPerSecond: Math.round(mean('imagesPerSecond') * 10) / 10,
    ...(totalSteps === undefined
      ? {}
      : { totalSteps, etaSeconds: Math.round((Math.max(0, totalSteps - step) * mean('stepMs')) / 1000) }),
  };
}

/** Folders beneath `folder` that slip-submit has submitted, one level deep and itself. */
export async function findRuns(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => {
    throw new SlipError('data', `the folder ${folder} cannot be read`);
  });
  const candidates = [folder, ...names.sort().map((name) => path.join(folder, name))];
  const runs = await Promise.all(candidates.map(async (run) => ((await readSubmissions(run)).length > 0 ? [run] : [])));
  return runs.flat();
}

/** Lines for people. */
export function renderStatus(status: RunStatus): string {
  const of = status.totalSteps === undefined ? '' : ` of ${status.totalSteps}`;
  const speed = status.imagesPerSecond === undefined ? '' : `, ${status.imagesPerSecond} images/s`;
  const eta =
    status.etaSeconds === undefined || status.step === status.totalSteps
      ? ''
      : `, about ${duration(status.etaSeconds)} to go`;
  const left = Object.entries(status.restartsLeft).map(([cause, count]) => `${cause} ${count}`);
  const rows: [string, string][] = [
    ['run', status.runFolder],
    [
      'job',
      `${status.jobId}, ${status.state}${status.reason === '' ? '' : ` (${status.reason})`} in ${status.partition || '?'}`,
    ],
    ['nodes', status.nodes || '-'],
    ['step', `${status.step}${of}${speed}${eta}; saved: ${status.savedStep}`],
    ['attempts', `${status.attempts}, requeued ${status.requeues} times; left: ${left.join(', ')}`],
    ['last event', status.lastEvent],
  ];
  return rows.map(([name, value]) => `${name.padEnd(11)}${value}`).join('\n');
}

function duration(seconds: number): string {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  return hours > 0 ? `${hours} h ${minutes} min` : minutes > 0 ? `${minutes} min` : `${seconds} s`;
}
