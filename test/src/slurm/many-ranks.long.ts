// 64 ranks on 8 nodes of a real cluster, all on this machine: a light task goes through submission, rendezvous, barriers and
// an all-reduce of 1 MB, and leaves nothing behind.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { temporaryFolder } from '../pretrain/launch-runs.js';
import { processesWith, skipWithoutSlurm, startCluster } from './cluster.js';
import { eventsOf, jobOutput, submitJob } from './submit-runs.js';

test('bench-comm on 8 nodes x 8 workers', { skip: skipWithoutSlurm() }, async (context) => {
  const cluster = await startCluster(context, '--nodes', '8', '--gpus', '8', '--cpus', '8');
  const runFolder = path.join(temporaryFolder(context), 'bench');
  const startedAt = performance.now();
  const job = await submitJob(cluster, [
    ...['--nodes', '8', '--gpus-per-node', '8', '--cpus-per-task', '1', '--gpu-request', 'gres', '--timeout', '20'],
    ...['--job-dir', runFolder, 'bench-comm', '--sizes', '1M', '--iterations', '5'],
  ]);
  const seconds = () => ((performance.now() - startedAt) / 1000).toFixed(1);
  context.diagnostic(`${seconds()} s to the id of the job`);
  await cluster.untilState(job.jobId, ['COMPLETED', 'FAILED'], 400);
  context.diagnostic(`${seconds()} s to the end of the job`);
  assert.equal(await cluster.jobField(job.jobId, 'JobState'), 'COMPLETED', jobOutput(job));
  const events = eventsOf(runFolder);
  const started = events.find(({ event }) => event === 'started');
  assert.deepEqual([started?.numNodes, started?.worldSize], [8, 64]);
  assert.equal(readdirSync(path.join(runFolder, 'attempts/0/logs')).length, 64);
  const table = readFileSync(path.join(runFolder, 'attempts/0/logs/rank-00000.log'), 'utf8').trim();
  for (const line of table.split('\n')) context.diagnostic(line);
  assert.match(table, /^\s+1M +1048576 .* 0$/m, 'one line for 1 MB, without a wrong element');
  // Shared memory has no names here: it is gone with the processes that hold it.
  assert.deepEqual(processesWith(`SLURM_JOB_ID=${job.jobId}`), []);
});
