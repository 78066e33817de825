// Ends that a restart cannot mend, and limits, on a real cluster: the job does not come back, says why, and leaves nothing.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { type Cluster, processesWith, skipWithoutSlurm, startCluster } from './cluster.js';
import { untilRestarted, untilStep } from './interruptions.js';
import { eventsOf, jobOutput, type Submitted, submitJob, tinyRuns } from './submit-runs.js';

test('what a restart cannot mend does not come back, and limits hold', {
  skip: skipWithoutSlurm(),
}, async (context) => {
  const cluster = await startCluster(context, '--nodes', '2', '--gpus', '2', '--cpus', '4', '--no-rest');
  const runs = await tinyRuns(context);
  const submit = (name: string, ...more: string[]) =>
    submitJob(cluster, runs.run(name, '--epochs', '200', '--max-restarts', '0', ...more));

  await context.test('a crash', async () => {
    const job = await submit('crash');
    await untilStep(job, 5);
    process.kill(processesWith(`SLIP_CONFIG=${job.runFolder}/config.json`).at(-1)!, 'SIGKILL');
    await failsFor(cluster, job, 'crashed', /^crashed, and --max-crashes is 0/);
  });

  await context.test('a loss that is not finite', async () => {
    const job = await submit('non-finite', '--lr', '1e30', '--warmup-epochs', '0');
    await failsFor(cluster, job, 'final-error', /^\[non-finite\] would come again/, '6:0');
  });

  await context.test('a bad flag, in a script that was changed by hand', async () => {
    const job = await submit('by-hand', '--max-steps', '1');
    await cluster.untilState(job.jobId, ['COMPLETED'], 300);
    const script = path.join(job.runFolder, 'changed.sh');
    const written = readFileSync(path.join(job.runFolder, 'slurm', `job-${job.jobId}.sh`), 'utf8');
    writeFileSync(script, written.replace('--epochs=200', '--epohcs=200'));
    const jobId = Number(await cluster.slurm('sbatch', '--parsable', script));
    await failsFor(cluster, { ...job, jobId }, 'final-error', /^\[config\] would come again/, '2:0');
  });

  await context.test('a second preemption where one is allowed', async () => {
    const job = await submit('limit', '--max-preemptions', '1');
    await untilStep(job, 5);
    await cluster.slurm('scancel', '--signal=USR2', String(job.jobId));
    await untilRestarted(cluster, job);
    const { step } = eventsOf(job.runFolder).find(({ event }) => event === 'requeued')!;
    await untilStep(job, Number(step) + 5);
    await cluster.slurm('scancel', '--signal=USR2', String(job.jobId));
    await failsFor(cluster, job, 'signalled', /^signalled 2 times, and --max-preemptions is 1/, '75:0', '1');
  });
});

async function failsFor(
  cluster: Cluster,
  job: Submitted,
  cause: string,
  reason: RegExp,
  exitCode?: string,
  restarts = '0',
): Promise<void> {
  const state = await cluster.untilState(job.jobId, ['FAILED', 'COMPLETED', 'CANCELLED'], 300);
  assert.deepEqual([state, await cluster.jobField(job.jobId, 'Restarts')], ['FAILED', restarts], jobOutput(job));
  if (exitCode !== undefined) assert.equal(await cluster.jobField(job.jobId, 'ExitCode'), exitCode);
  const last = eventsOf(job.runFolder).at(-1)!;
  assert.deepEqual([last.event, last.cause], ['gave-up', cause], jobOutput(job));
  assert.match(String(last.reason), reason);
  assert.deepEqual(processesWith(`SLURM_JOB_ID=${job.jobId}`), [], 'no process outlives the job');
}
