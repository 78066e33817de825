// The cluster that the other tests stand on: it runs jobs with GPUs on several nodes, preempts, loses nodes, and is gone.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesWith, skipWithoutSlurm, startCluster } from './cluster.js';

test('one command starts a Slurm of three nodes that runs, requeues and survives a lost node', {
  skip: skipWithoutSlurm(),
}, async (context) => {
  let folder = '';
  await context.test('while it is up', async (inner) => {
    const cluster = await startCluster(inner, '--nodes', '3', '--gpus', '2', '--grace', '1', '--kill-wait', '1');
    folder = cluster.folder;
    const output = path.join(cluster.folder, 'log', 'job.txt');
    const script = path.join(cluster.folder, 'job.sh');
    writeFileSync(
      script,
      '#!/bin/bash\nsrun bash -c \'echo $SLURM_PROCID $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES\'\nsleep "$1"\n',
    );
    const submit = (...args: string[]) => cluster.slurm('sbatch', '--parsable', '-o', output, '-N2', ...args);

    await inner.test('two tasks on each of two nodes see a GPU of their own', async () => {
      const job = await submit('--ntasks-per-node=2', '--gpus-per-task=1', script, '0');
      await cluster.untilState(job, ['COMPLETED']);
      const lines = readFileSync(output, 'utf8').trim().split('\n').sort();
      assert.deepEqual(lines, ['0 node01 0', '1 node01 1', '2 node02 0', '3 node02 1']);
    });

    await inner.test('a job of the high partition sends one of the low partition back to the queue', async () => {
      const low = await submit('--partition=low', '--exclusive', script, '300');
      await cluster.untilState(low, ['RUNNING']);
      const high = await submit('--partition=high', '--exclusive', script, '0');
      await cluster.untilState(high, ['COMPLETED']);
      assert.equal(await cluster.jobField(low, 'Restarts'), '1');
      await cluster.slurm('scancel', low);
      await cluster.untilState(low, ['CANCELLED']);
    });

    await inner.test('a crashed node takes its processes along, and comes back', async () => {
      const marker = path.join(cluster.folder, 'log', 'begun.txt');
      const job = await submit('-o', marker, script, '300');
      // A node that is lost while the job is being launched makes it fail instead.
      while (!existsSync(marker) || readFileSync(marker, 'utf8').split('\n').length < 3) await sleep(100);
      const host = await cluster.jobField(job, 'BatchHost');
      await cluster.node('crash', host);
      assert.deepEqual(processesWith(`SLURMD_NODENAME=${host}`, `SLURM_CONF=${cluster.folder}/slurm.conf`), []);
      await cluster.slurm('scontrol', 'update', `nodename=${host}`, 'state=down', 'reason=test');
      assert.equal(await cluster.untilState(job, ['PENDING', 'REQUEUED']), 'PENDING');
      await cluster.slurm('scancel', job);
      await cluster.node('start', host);
      await cluster.slurm('scontrol', 'update', `nodename=${host}`, 'state=resume');
      assert.match(await cluster.slurm('sinfo', '-h', '-n', host, '-p', 'main', '-o', '%t'), /^idle/);
    });
  });
  assert.equal(existsSync(folder), false, 'its folder is gone');
  assert.deepEqual(processesWith(`SLURM_CONF=${folder}/slurm.conf`), [], 'and so are its processes');
});
