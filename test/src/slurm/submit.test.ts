// slip-submit on a real cluster: two nodes of two workers train to the end, by sbatch and by REST, with equal weights.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { finalWeights } from '../pretrain/launch-runs.js';
import { processesWith, skipWithoutSlurm, startCluster } from './cluster.js';
import { eventsOf, jobOutput, type Submitted, slipSubmit, submitJob, tinyRuns } from './submit-runs.js';

test('slip-submit trains on two nodes of two workers', { skip: skipWithoutSlurm() }, async (context) => {
  const cluster = await startCluster(context, '--nodes', '2', '--gpus', '2', '--cpus', '4');
  const runs = await tinyRuns(context);
  const weights: unknown[] = [];

  for (const via of ['sbatch', 'rest'])
    await context.test(`via ${via}`, async (inner) => {
      const startedAt = performance.now();
      const job = await submitJob(cluster, runs.run(`${via}-%j`, '--via', via, '--comment', 'two "quoted" words'));
      inner.diagnostic(`${Math.round(performance.now() - startedAt)} ms from slip-submit to the id of the job`);
      assert.deepEqual([job.via, job.runFolder], [via, path.join(runs.folder, `${via}-${job.jobId}`)]);
      await cluster.untilState(job.jobId, ['COMPLETED', 'FAILED', 'CANCELLED', 'TIMEOUT'], 120);
      const [state, restarts] = [
        await cluster.jobField(job.jobId, 'JobState'),
        await cluster.jobField(job.jobId, 'Restarts'),
      ];
      assert.deepEqual([state, restarts], ['COMPLETED', '0'], jobOutput(job));
      assert.deepEqual(
        eventsOf(job.runFolder).map(({ event }) => event),
        ['submitted', 'started', 'finished', 'completed'],
      );
      const started = eventsOf(job.runFolder).find(({ event }) => event === 'started');
      assert.deepEqual([started?.numNodes, started?.worldSize], [2, 4]);
      assert.deepEqual(readdirSync(path.join(job.runFolder, 'slurm')).sort(), [
        `${job.jobId}.out`,
        `job-${job.jobId}.json`,
        `job-${job.jobId}.sh`,
        'rendezvous',
      ]);
      assert.deepEqual(readdirSync(path.join(job.runFolder, 'slurm/rendezvous')), []);
      assert.deepEqual(processesWith(`SLURM_JOB_ID=${job.jobId}`), [], 'no process outlives the job');
      assert.equal(await cluster.jobField(job.jobId, 'Comment'), 'two');
      weights.push(finalWeights(job.runFolder));
    });
  assert.deepEqual(weights[1], weights[0], 'the way of submission changes no bit of the weights');

  await context.test('an array over recipes: two jobs at once on the same nodes, which do not meet', async () => {
    const recipes = [3, 4].map((seed) => path.join(runs.folder, `seed-${seed}.yaml`));
    for (const [i, recipe] of recipes.entries()) writeFileSync(recipe, `seed: ${i + 3}\n`);
    const args = runs.run('array', '--ngpus', '1', '--epochs', '1', '--array', ...recipes);
    const { code, stdout, stderr } = await slipSubmit(cluster, ['--json', ...args]);
    assert.equal(code, 0, stderr);
    const jobs: Submitted[] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const folder = path.join(runs.folder, 'array');
    assert.deepEqual(
      jobs.map(({ runFolder }) => runFolder),
      ['seed-3', 'seed-4'].map((name) => path.join(folder, name)),
    );
    for (const job of jobs) {
      await cluster.untilState(job.jobId, ['COMPLETED', 'FAILED'], 120);
      assert.equal(await cluster.jobField(job.jobId, 'JobState'), 'COMPLETED', jobOutput(job));
      assert.equal(finalWeights(job.runFolder).step, 30);
    }
    const [a, b] = jobs.map(({ runFolder }) => finalWeights(runFolder));
    assert.notDeepEqual(a, b);
    const listed = await slipSubmit(cluster, ['list', folder]);
    assert.match(listed.stdout, /^seed-3 .* COMPLETED +30\/30 +0\nseed-4 .* COMPLETED +30\/30 +0$/m);
  });

  await context.test(
    'what cannot work is refused before it is queued, and a dry run shows script and reasons',
    async () => {
      const before = await cluster.slurm('squeue', '-h', '-t', 'all', '-o', '%A');
      const none = await slipSubmit(cluster, runs.run('refused', '--partition', 'nowhere'));
      assert.equal(none.code, 10, none.stderr);
      assert.match(
        none.stderr,
        /^slip-submit: \[scheduler\] sbatch --test-only: .*invalid partition specified: nowhere/im,
      );
      const late = await slipSubmit(cluster, runs.run('refused/late', '--partition', 'nowhere', '--via', 'rest'));
      assert.equal(late.code, 10, late.stderr);
      const gpus = await slipSubmit(cluster, runs.run('refused', '--ngpus', '9', '--batch-size', '1', '--dry-run'));
      assert.equal(gpus.code, 10, gpus.stderr);
      assert.match(gpus.stdout, /#SBATCH --gres=gpu:9\n/);
      assert.match(gpus.stdout, /# refused: \[scheduler\] sbatch --test-only: .*node configuration is not available/i);
      assert.equal(await cluster.slurm('squeue', '-h', '-t', 'all', '-o', '%A'), before);
      assert.equal(existsSync(path.join(runs.folder, 'refused')), false);
    },
  );
});
