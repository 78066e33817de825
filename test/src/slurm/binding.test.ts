// Workers of a job get cores and GPUs of their own where Slurm keeps jobs apart, seen from outside in /proc.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import test from 'node:test';
import { processesWith, skipWithoutSlurm, startCluster } from './cluster.js';
import { untilStep } from './interruptions.js';
import { jobOutput, submitJob, tinyRuns } from './submit-runs.js';

const skip = skipWithoutSlurm() || (os.availableParallelism() < 2 ? 'needs two cores' : false);

test('each worker of a job has its own core and GPU', { skip }, async (context) => {
  // As many cores as there are: Slurm binds to real ones.
  const cluster = await startCluster(
    context,
    ...['--nodes', '1', '--gpus', '2', '--cpus', '2', '--no-rest', '--set', 'TaskPlugin=task/affinity'],
  );
  const runs = await tinyRuns(context);
  const job = await submitJob(cluster, runs.run('bound', '--nodes', '1', '--epochs', '500', '--threads', '0'));
  await untilStep(job, 1);
  const workers = processesWith(`SLIP_CONFIG=${job.runFolder}/config.json`);
  const seen = workers.map((pid) => {
    const variables = new Map(
      readFileSync(`/proc/${pid}/environ`, 'utf8')
        .split('\0')
        .map((line) => line.split('=', 2) as [string, string]),
    );
    const cpus = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return [variables.get('LOCAL_RANK'), cpus, variables.get('CUDA_VISIBLE_DEVICES'), variables.get('SLIP_NUM_CPUS')];
  });
  assert.deepEqual(
    seen.sort(),
    [
      ['0', '0', '0', '1'],
      ['1', '1', '1', '1'],
    ],
    jobOutput(job),
  );
  await cluster.slurm('scancel', String(job.jobId));
  await cluster.untilState(job.jobId, ['CANCELLED'], 40);
});
