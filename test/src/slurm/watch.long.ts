// The outer half on a real cluster: where Slurm does not bring a job back, who watches the run submits it again.
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { skipWithoutSlurm, startCluster } from './cluster.js';
import { type Expected, endsAsExpected, eventNames, preempt, resultOf, untilStep } from './interruptions.js';
import {
  eventsOf,
  jobOutput,
  type Submitted,
  slipSubmit,
  submitJob,
  submitJobAndGoOn,
  tinyRuns,
} from './submit-runs.js';

test('a run goes on where Slurm does not requeue its job', { skip: skipWithoutSlurm() }, async (context) => {
  const cluster = await startCluster(context, '--nodes', '2', '--gpus', '2', '--cpus', '4');
  await cluster.slurm(
    'scontrol',
    ...['create', 'PartitionName=cancel', 'Nodes=ALL', 'MaxTime=INFINITE', 'State=UP', 'PriorityTier=1'],
    ...['PreemptMode=CANCEL', 'GraceTime=0'],
  );
  const runs = await tinyRuns(context);
  const args = (name: string, ...more: string[]) => runs.run(name, '--epochs', '8', '--max-restarts', '0', ...more);
  const expected = await resultOf(cluster, await submitJob(cluster, args('undisturbed')));

  /** The run was submitted once more, as another job, and its weights are those of the undisturbed one. */
  const cameBack = async (job: Submitted, cause: string): Promise<void> => {
    const submitted = eventsOf(job.runFolder).filter(({ event }) => event === 'submitted');
    assert.equal(submitted.length, 2, eventNames(job).join(' '));
    const second = { ...job, jobId: Number(submitted[1]!.jobId) };
    await endsAsExpected(cluster, second, expected satisfies Expected);
    const again = eventsOf(job.runFolder).find(({ event }) => event === 'resubmitted')!;
    assert.deepEqual([again.jobId, again.cause], [job.jobId, cause]);
    assert.match(String(again.reason), new RegExp(`^${cause}, 1 of 30; goes on from step ${again.step}`));
  };

  await context.test('preempted with PreemptMode=CANCEL, under --follow', async () => {
    const { job, finished } = await submitJobAndGoOn(
      cluster,
      args('cancelled', '--partition', 'cancel', '--follow', '--interval', '0.5'),
    );
    await untilStep(job, 8);
    await preempt(cluster);
    const { code, stdout, stderr } = await finished;
    assert.equal(code, 0, `${stderr}\n${stdout}\n${jobOutput(job)}`);
    assert.equal(await cluster.jobField(job.jobId, 'JobState'), 'PREEMPTED');
    const news = stdout.trim().split('\n').slice(1);
    assert.equal(JSON.parse(news.at(-1)!).event, 'complete', stdout);
    await cameBack(job, 'preempted');
  });

  await context.test('requeueing is denied: slip-submit watch by REST, begun when the job is over', async () => {
    const job = await submitJob(cluster, args('denied', '--partition', 'low'));
    await cluster.slurm('scontrol', 'update', `jobid=${job.jobId}`, 'requeue=0');
    await untilStep(job, 8);
    await cluster.slurm('scancel', '--signal=USR2', String(job.jobId));
    assert.equal(await cluster.untilState(job.jobId, ['FAILED', 'COMPLETED']), 'FAILED', jobOutput(job));
    assert.match(String(eventsOf(job.runFolder).at(-1)?.reason), /^signalled, but this job may not be requeued/);
    const rest = ['--rest-url', `unix:${cluster.environment.SLURMRESTD_SOCKET}`, '--via', 'rest'];
    const watched = await slipSubmit(cluster, ['watch', job.runFolder, '--interval', '0.5', ...rest]);
    assert.equal(watched.code, 0, watched.stderr + watched.stdout);
    assert.match(watched.stdout, /job \d+: signalled, 1 of 30; goes on from step \d+\n/);
    await cameBack(job, 'signalled');
  });

  await context.test('a submission that Slurm refuses at first is tried again', async () => {
    const partition = (state: string) => cluster.slurm('scontrol', 'update', 'partition=low', `state=${state}`);
    const job = await submitJob(cluster, args('refused', '--partition', 'low'));
    await cluster.slurm('scontrol', 'update', `jobid=${job.jobId}`, 'requeue=0');
    await untilStep(job, 8);
    await cluster.slurm('scancel', '--signal=USR2', String(job.jobId));
    await cluster.untilState(job.jobId, ['FAILED', 'COMPLETED']);
    await partition('INACTIVE');
    const watching = slipSubmit(cluster, ['watch', job.runFolder, '--interval', '1']);
    const refused = () =>
      eventsOf(job.runFolder).some(({ event, reason }) => event === 'gave-up' && /did not take/.test(`${reason}`));
    while (!refused()) await sleep(100);
    await partition('UP');
    const { code, stdout, stderr } = await watching;
    assert.equal(code, 0, stderr + stdout);
    assert.match(stdout, /job \d+: sbatch .*inactive/i);
    const { restartsLeft } = JSON.parse((await slipSubmit(cluster, ['status', '--json', job.runFolder])).stdout);
    assert.equal(restartsLeft.preempted, 29, 'what was refused does not count');
  });

  await context.test('what was cancelled is left alone', async () => {
    const { job, finished } = await submitJobAndGoOn(cluster, args('left', '--follow', '--interval', '0.5'));
    await untilStep(job, 5);
    await cluster.slurm('scancel', String(job.jobId));
    const { code, stdout } = await finished;
    assert.notEqual(code, 0);
    assert.match(stdout, /the job was ended on purpose \(CANCELLED\)/);
    assert.equal(eventNames(job).includes('resubmitted'), false);
  });
});
