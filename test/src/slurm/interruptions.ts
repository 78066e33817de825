// For tests: runs that are interrupted, and what has to be true of them afterwards.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { finalWeights, stepRecords } from '../pretrain/launch-runs.js';
import { type Cluster, processesWith } from './cluster.js';
import { eventsOf, jobOutput, type Submitted } from './submit-runs.js';

export interface Expected {
  readonly weights: ReturnType<typeof finalWeights>;
  readonly losses: readonly (readonly [number, number])[];
}

/** Result of an undisturbed run, once it has finished. */
export async function resultOf(cluster: Cluster, job: Submitted): Promise<Expected> {
  await cluster.untilState(job.jobId, ['COMPLETED', 'FAILED'], 600);
  assert.equal(await cluster.jobField(job.jobId, 'JobState'), 'COMPLETED', jobOutput(job));
  return { weights: finalWeights(job.runFolder), losses: lossesOf(job) };
}

/** The job ends well, with the bits of the undisturbed one and one record a step, and leaves no process behind. */
export async function endsAsExpected(cluster: Cluster, job: Submitted, expected: Expected): Promise<void> {
  assert.deepEqual(await resultOf(cluster, job), expected, jobOutput(job));
  assert.deepEqual(processesWith(`SLURM_JOB_ID=${job.jobId}`), [], 'no process outlives the job');
}

function lossesOf(job: Submitted): [number, number][] {
  return stepRecords(job.runFolder).map(({ step, loss }) => [step, loss]);
}

/** Events of a run by name. */
export function eventNames(job: Submitted): unknown[] {
  return eventsOf(job.runFolder).map(({ event }) => event);
}

/** Waits until the run has recorded the step. */
export async function untilStep(job: Submitted, step: number): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(50)) {
    try {
      if (stepRecords(job.runFolder).some((record) => record.step >= step)) return;
    } catch {
      // Not there yet.
    }
  }
  assert.fail(`step ${step} was not reached\n${jobOutput(job)}`);
}

export async function untilRestarted(cluster: Cluster, job: Submitted): Promise<void> {
  for (const end = Date.now() + 90_000; Date.now() < end; await sleep(200))
    if (
      (await cluster.jobField(job.jobId, 'Restarts')) === '1' &&
      (await cluster.jobField(job.jobId, 'JobState')) === 'RUNNING'
    )
      return;
  assert.fail(
    `the job did not come back\n${await cluster.slurm('scontrol', 'show', 'job', String(job.jobId))}\n${jobOutput(job)}`,
  );
}

/** Takes all nodes for two seconds. */
export async function preempt(cluster: Cluster): Promise<void> {
  const high = await cluster.slurm(
    'sbatch',
    '--parsable',
    '-p',
    'high',
    '--exclusive',
    '-N2',
    '-o',
    '/dev/null',
    '--wrap',
    'sleep 2',
  );
  await cluster.untilState(high, ['COMPLETED'], 60);
}
