// The quickstart recipe on a real cluster, as its documentation says it: two nodes of two workers, by sbatch and by REST.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import test from 'node:test';
import { finalWeights, root } from '../pretrain/launch-runs.js';
import { skipWithoutSlurm, startCluster } from './cluster.js';
import { eventsOf, jobOutput, submitJob } from './submit-runs.js';

/** The whole of it takes about five minutes on two quiet cores. */
const PATIENCE_S = 2400;

test('slip-submit --recipe quickstart trains to its end on 2 nodes x 2 workers', {
  skip: skipWithoutSlurm(),
}, async (context) => {
  const cluster = await startCluster(context, '--nodes', '2', '--gpus', '2', '--cpus', '4');
  // slip-submit is started in this folder, and the recipe looks for its data beneath it.
  const cwd = path.dirname(cluster.folder);
  const data = [path.join(root, 'orchestrator/bin/slip-data.js'), 'make-emoji', '--output', '.data/emoji'];
  const made = spawnSync(process.execPath, data, { cwd, encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  const weights: unknown[] = [];
  for (const via of ['sbatch', 'rest']) {
    const startedAt = performance.now();
    const args = ['--site', 'test-cluster', '--nodes', '2', '--gpus-per-node', '2', '--recipe', 'quickstart'];
    const job = await submitJob(cluster, [...args, '--via', via, '--job-dir', `${cwd}/${via}`]);
    const seconds = () => ((performance.now() - startedAt) / 1000).toFixed(1);
    context.diagnostic(`${via}: ${seconds()} s to the id of the job`);
    await cluster.untilState(job.jobId, ['COMPLETED', 'FAILED'], PATIENCE_S);
    assert.equal(await cluster.jobField(job.jobId, 'JobState'), 'COMPLETED', jobOutput(job));
    assert.equal(eventsOf(job.runFolder).at(-1)?.event, 'completed');
    const found = finalWeights(job.runFolder);
    context.diagnostic(`${via}: ${seconds()} s to the end of ${found.step} steps`);
    weights.push(found);
  }
  assert.deepEqual(weights[1], weights[0]);
});
