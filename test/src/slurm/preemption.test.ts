// Coming back on a real cluster: preempted or signalled, a run ends with the weights of an undisturbed one; what cannot be
// mended, or was cancelled, does not come back. More ways of being interrupted are in interruptions.long.ts.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesWith, skipWithoutSlurm, startCluster } from './cluster.js';
import { endsAsExpected, eventNames, preempt, resultOf, untilRestarted, untilStep } from './interruptions.js';
import { eventsOf, jobOutput, submitJob, tinyRuns } from './submit-runs.js';

test('interrupted jobs come back for the right reasons only', { skip: skipWithoutSlurm() }, async (context) => {
  const cluster = await startCluster(context, '--nodes', '2', '--gpus', '2', '--cpus', '4');
  const runs = await tinyRuns(context);
  const submit = (name: string, ...more: string[]) =>
    submitJob(cluster, runs.run(name, '--partition', 'low', '--epochs', '3', ...more));
  const expected = await resultOf(cluster, await submit('undisturbed'));
  assert.equal(expected.weights.step, 45);

  await context.test(
    'preempted by the high partition: saved in time, back in the queue, the same weights',
    async () => {
      const job = await submit('preempted', '--max-restarts', '0');
      await untilStep(job, 8);
      await preempt(cluster);
      await untilRestarted(cluster, job);
      await endsAsExpected(cluster, job, expected);
      const events = ['submitted', 'started', 'stopped', 'requeued', 'started', 'finished', 'completed'];
      assert.deepEqual(eventNames(job), events, jobOutput(job));
      const { cause, reason, step } = eventsOf(job.runFolder)[3]!;
      assert.deepEqual([cause, reason], ['preempted', `preempted, 1 of 30; goes on from step ${step}`]);
      assert.match(
        jobOutput(job),
        new RegExp(`stopped at step ${step} of 45, saved[^]*continuing from .*step-0*${step} `),
        '0 steps lost',
      );
    },
  );

  await context.test('scancel does not requeue, and leaves nothing running', async () => {
    const job = await submit('cancelled');
    await untilStep(job, 5);
    await cluster.slurm('scancel', String(job.jobId));
    await cluster.untilState(job.jobId, ['CANCELLED'], 30);
    await sleep(1000);
    assert.equal(await cluster.jobField(job.jobId, 'JobState'), 'CANCELLED');
    assert.equal(await cluster.jobField(job.jobId, 'Restarts'), '0');
    assert.deepEqual(eventNames(job), ['submitted', 'started', 'stopped', 'left']);
    assert.deepEqual(processesWith(`SLURM_JOB_ID=${job.jobId}`), []);
  });

  await context.test('what a restart cannot mend is not tried again', async () => {
    const file = path.join(runs.folder, 'set', 'broken.json');
    writeFileSync(file, '{"annotations": 3}');
    const job = await submit('broken', '--metadata', file);
    await cluster.untilState(job.jobId, ['FAILED', 'COMPLETED'], 60);
    const [state, code] = [
      await cluster.jobField(job.jobId, 'JobState'),
      await cluster.jobField(job.jobId, 'ExitCode'),
    ];
    assert.deepEqual([state, code], ['FAILED', '3:0'], jobOutput(job));
    assert.equal(eventNames(job).at(-1), 'gave-up');
  });
});
