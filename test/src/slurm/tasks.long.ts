// The tasks beside pre-training on a real cluster: linear probing to the end, fine-tuning with a preemption in between.
import assert from 'node:assert/strict';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { type ClassifyPlace, finetuneFlags, linearFlags, logLines, makePlace } from '../classify/classify-runs.js';
import { temporaryFolder } from '../pretrain/launch-runs.js';
import { type Cluster, skipWithoutSlurm, startCluster } from './cluster.js';
import {
  endsAsExpected,
  preempt,
  resultOf,
  resumedSteps,
  untilDecided,
  untilRestarted,
  untilStep,
} from './interruptions.js';
import { eventsOf, jobOutput, type Submitted, slipSubmit, submitJob } from './submit-runs.js';

interface Tasks {
  readonly cluster: Cluster;
  readonly place: ClassifyPlace;
  submit(name: string, flags: readonly string[], ...more: string[]): Promise<Submitted>;
}

async function start(context: TestContext): Promise<Tasks> {
  const cluster = await startCluster(context, '--nodes', '2', '--gpus', '2', '--cpus', '4');
  const place = await makePlace(temporaryFolder(context));
  const submit: Tasks['submit'] = (name, flags, ...more) =>
    submitJob(cluster, [
      ...['--ngpus', '2', '--cpus-per-task', '1', '--gpu-request', 'gres', '--timeout', '60', '--partition', 'low'],
      ...['--job_dir', path.join(place.folder, name), ...flags, '--comm-timeout', '120', ...more],
    ]);
  return { cluster, place, submit };
}

test('linear, by sbatch and by REST: one node unless told otherwise', { skip: skipWithoutSlurm() }, async (context) => {
  const { cluster, place, submit } = await start(context);
  for (const via of ['sbatch', 'rest']) {
    const job = await submit(`linear-${via}`, linearFlags(place), '--via', via);
    const { weights } = await resultOf(cluster, job);
    assert.equal(weights.step, 32);
    const started = eventsOf(job.runFolder).find(({ event }) => event === 'started');
    assert.deepEqual([started?.numNodes, started?.worldSize], [1, 2]);
    assert.equal(await cluster.jobField(job.jobId, 'JobName'), 'linear');
    const { test_acc1 } = logLines(job.runFolder).at(-1)!;
    assert.ok(test_acc1! > 80, `${test_acc1} % of four classes`);
    const status = await slipSubmit(cluster, ['status', job.runFolder]);
    assert.match(status.stdout, /COMPLETED/);
    assert.match(status.stdout, /32/);
  }
});

test('finetune on two nodes, preempted: no step lost, the same weights', {
  skip: skipWithoutSlurm(),
}, async (context) => {
  const { cluster, place, submit } = await start(context);
  const flags = ['--nodes', '2', ...finetuneFlags(place), '--epochs', '15', '--print-freq', '1'];
  const expected = await resultOf(cluster, await submit('finetune', flags));
  assert.equal(expected.weights.step, 45);
  const job = await submit('finetune-preempted', flags);
  await untilStep(job, 6);
  const ending = untilDecided(job);
  await preempt(cluster);
  const { decision, reachedStep } = await ending;
  assert.deepEqual([decision.event, decision.cause], ['requeued', 'preempted'], jobOutput(job));
  await untilRestarted(cluster, job);
  await endsAsExpected(cluster, job, expected);
  assert.equal(resumedSteps(job).at(-1), reachedStep, '0 steps lost');
  context.diagnostic(`preempted at step ${reachedStep}, went on from there`);
});
