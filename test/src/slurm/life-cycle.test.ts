// Looking after a run on a real cluster: status, list, logs -f, cancel, resume, attempts, by commands and by REST.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { finalWeights, root } from '../pretrain/launch-runs.js';
import { processesWith, skipWithoutSlurm, startCluster } from './cluster.js';
import { jobOutput, slipSubmit, submitJob, tinyRuns } from './submit-runs.js';

test('a run is watched, cancelled and resumed', { skip: skipWithoutSlurm() }, async (context) => {
  const cluster = await startCluster(context, '--nodes', '2', '--gpus', '2', '--cpus', '4');
  const runs = await tinyRuns(context);
  const args = runs.run('run', '--ngpus', '1', '--epochs', '12');
  const job = await submitJob(cluster, args);
  const ask = async (...argv: string[]) => {
    const { code, stdout, stderr } = await slipSubmit(cluster, [...argv, '--json']);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };
  const status = async () => ask('status', job.runFolder);
  let seen = await status();
  const following = slipSubmit(cluster, ['logs', '-f', job.runFolder]);
  while (seen.step < 5) {
    await sleep(500);
    seen = await status();
    assert.ok(['PENDING', 'CONFIGURING', 'RUNNING'].includes(seen.state), `${seen.state}\n${jobOutput(job)}`);
  }

  await context.test('status has step, speed, time to go and attempts left, by commands and by REST', async () => {
    assert.deepEqual([seen.jobId, seen.state, seen.nodes, seen.totalSteps], [job.jobId, 'RUNNING', 'node[01-02]', 360]);
    assert.ok(seen.imagesPerSecond > 0 && seen.etaSeconds > 0);
    assert.deepEqual(seen.restartsLeft, { preempted: 30, 'timed-out': 30, 'node-failure': 10, crashed: 0 });
    const overRest = await ask('status', job.runFolder, '--rest-url', `unix:${cluster.environment.SLURMRESTD_SOCKET}`);
    assert.deepEqual([overRest.jobId, overRest.state, overRest.nodes], [job.jobId, 'RUNNING', 'node[01-02]']);
    const text = (await slipSubmit(cluster, ['status', job.runFolder])).stdout;
    assert.match(text, /^job +\d+, RUNNING in main$/m);
    assert.match(text, /^step +\d+ of 360, [\d.]+ images\/s, about .* to go; saved: \d+$/m);
  });

  await context.test('the same run folder is not given to a second job', async () => {
    const { code, stderr } = await slipSubmit(cluster, args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, new RegExp(`belongs to job ${job.jobId}, which is RUNNING`));
    const again = await slipSubmit(cluster, ['resume', job.runFolder]);
    assert.equal(again.code, 2, again.stderr);
    assert.match(again.stderr, /there is nothing to resume/);
  });

  await context.test('cancel saves nothing extra, does not requeue, and ends logs -f', async () => {
    assert.equal((await ask('cancel', job.runFolder)).cancelled, true);
    await cluster.untilState(job.jobId, ['CANCELLED'], 40);
    const logs = await following;
    assert.equal(logs.code, 0, logs.stderr);
    assert.match(logs.stdout, /^== attempt 0$/m);
    assert.match(logs.stdout, /\[rank 0\] .*Epoch: \[0\]/);
    assert.match(logs.stdout, /\[ranks 0-1\] .*SIGTERM received: stopping after the current step/);
    assert.deepEqual(processesWith(`SLURM_JOB_ID=${job.jobId}`), []);
    assert.equal((await ask('cancel', job.runFolder)).cancelled, false);
  });

  await context.test(
    'resume submits the same run again, from inside another job, and it goes on to the end',
    async () => {
      const script = path.join(runs.folder, 'resume.sh');
      const output = path.join(runs.folder, 'resume.txt');
      const program = path.join(root, 'orchestrator/bin/slip-submit.js');
      writeFileSync(script, `#!/bin/bash\nexec "${process.execPath}" "${program}" resume --json "${job.runFolder}"\n`);
      const inside = await cluster.slurm(
        'sbatch',
        '--parsable',
        '-N1',
        '-n1',
        '-c2',
        '-p',
        'high',
        '-o',
        output,
        script,
      );
      await cluster.untilState(inside, ['COMPLETED'], 30);
      const resumed = (await status()).jobId;
      assert.notEqual(resumed, job.jobId);
      assert.match(await cluster.jobField(resumed, 'NumNodes'), /^2\b/);
      assert.equal(await cluster.jobField(resumed, 'Partition'), 'main');
      await cluster.untilState(resumed, ['COMPLETED', 'FAILED'], 120);
      assert.equal((await status()).state, 'COMPLETED', jobOutput({ ...job, jobId: resumed }));
      assert.equal(finalWeights(job.runFolder).step, 360);
      const after = await slipSubmit(cluster, ['resume', job.runFolder]);
      assert.equal(after.code, 2, after.stderr);
      assert.match(after.stderr, /the run has finished, so there is nothing to resume/);
      const attempts = await ask('attempts', job.runFolder);
      assert.deepEqual(
        attempts.map((attempt: Record<string, unknown>) => [attempt.attempt, attempt.jobId, attempt.end]),
        [
          [0, job.jobId, 'stopped'],
          [1, resumed, 'finished'],
        ],
      );
      assert.match(
        (await slipSubmit(cluster, ['attempts', job.runFolder])).stdout,
        /^0 .* stopped .*left: Slurm is ending the job itself/m,
      );
      const listed = await ask('list', runs.folder);
      assert.deepEqual(
        listed.map((run: Record<string, unknown>) => [run.runFolder, run.state]),
        [[job.runFolder, 'COMPLETED']],
      );
    },
  );

  await context.test('mistakes are one line', async () => {
    for (const [argv, message] of [
      [['status'], /\[config\] slip-submit status RUN: the folder of a run is missing/],
      [['status', '/nowhere'], /\[data\] the run folder \/nowhere does not exist/],
      [['attempts', '--jsn', runs.folder], /unknown flag --jsn; did you mean --json\?/],
      [['cancel', runs.folder], /is not the folder of a run that slip-submit has submitted/],
      [['statsu', runs.folder], /unknown task|unexpected argument/],
    ] as const) {
      const { code, stderr } = await slipSubmit(cluster, argv);
      assert.ok(code === 2 || code === 3, stderr);
      assert.match(stderr, message);
      assert.equal(stderr.trim().split('\n').length, 1);
    }
  });
});
