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
  await cluster.untilState(job.jobId, ['COMPLETED', 'FAILED'], 1200);
  assert.equal(await cluster.jobField(job.jobId, 'JobState'), 'COMPLETED', jobOutput(job));
  return { weights: finalWeights(job.runFolder), losses: lossesOf(job) };
}

/** The job ends well, with the bits of the undisturbed one and one record a step, and leaves no process behind. */
export async function endsAsExpected(cluster: Cluster, job: Submitted, expected: Expected): Promise<void> {
  assert.deepEqual(await resultOf(cluster, job), expected, jobOutput(job));
  // Workers are looked for by the run as well: an orphan may have lost the variables of its job.
  for (const entry of [`SLURM_JOB_ID=${job.jobId}`, `SLIP_CONFIG=${job.runFolder}/config.json`])
    assert.deepEqual(processesWith(entry), [], `no process with ${entry} outlives the job`);
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
  for (const end = Date.now() + 600_000; Date.now() < end; await sleep(50)) {
    try {
      if (stepRecords(job.runFolder).some((record) => record.step >= step)) return;
    } catch {
      // Not there yet.
    }
  }
  assert.fail(`step ${step} was not reached\n${jobOutput(job)}`);
}

export interface Ending {
  /** What was decided, and why. */
  readonly decision: Readonly<Record<string, unknown>>;
  /** The last step that was recorded before the run came back. */
  readonly reachedStep: number;
}

/** Waits for the decision on the first attempt, which its script writes once all ranks have left. */
export async function untilDecided(job: Submitted): Promise<Ending> {
  for (const end = Date.now() + 300_000; Date.now() < end; await sleep(50)) {
    const decision = eventsOf(job.runFolder).find(({ event }) => DECISIONS.includes(String(event)));
    if (decision?.event === 'completed') break;
    if (decision !== undefined) return { decision, reachedStep: stepRecords(job.runFolder).at(-1)!.step! };
  }
  assert.fail(`nothing interrupted the run\n${jobOutput(job)}`);
}

const DECISIONS = ['requeued', 'left', 'gave-up', 'completed'];

/** Whether the run had come to its end before anything could happen to it. */
export function wasTooShort(job: Submitted): boolean {
  const names = eventNames(job);
  return names.includes('completed') && names.filter((name) => name === 'started').length === 1;
}

/** Middle of what the steps of a run took, in seconds. */
export function secondsPerStep(job: Submitted): number {
  const times = stepRecords(job.runFolder).map(({ stepMs }) => stepMs!);
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)]! / 1000;
}

/** The steps at which the run was taken up again, in the order of its attempts. */
export function resumedSteps(job: Submitted): number[] {
  const lines = jobOutput(job).matchAll(/continuing from \S+ \(step (\d+)\)/g);
  return [...lines].map(([, step]) => Number(step)).filter((step, i, all) => step !== all[i - 1]);
}

export async function untilRestarted(cluster: Cluster, job: Submitted): Promise<void> {
  for (const end = Date.now() + 600_000; Date.now() < end; await sleep(200))
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
