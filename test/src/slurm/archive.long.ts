// The archive for clusters: unpacked in an empty folder, without network, its commands work, and a job from it trains.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { finalWeights, root, temporaryFolder } from '../pretrain/launch-runs.js';
import { skipWithoutSlurm, startCluster } from './cluster.js';
import { jobOutput, type Submitted, tinyRuns } from './submit-runs.js';

test('npm run tarball: unpacks and runs without network, and trains on a cluster', async (context) => {
  const folder = temporaryFolder(context);
  const made = execFileSync(path.join(root, 'slurm/make-archive.sh'), [path.join(folder, 'slip.tgz')], {
    encoding: 'utf8',
  });
  context.diagnostic(made.trim());
  execFileSync('tar', ['-xzf', 'slip.tgz'], { cwd: folder });
  const [name] = readdirSync(folder).filter((entry) => entry !== 'slip.tgz');
  assert.match(name!, /^slip-\d+\.\d+\.\d+-linux-/);
  const bin = path.join(folder, name!, 'bin');
  const PATH = `${bin}:${path.dirname(process.execPath)}:/usr/bin:/bin`;
  // Where namespaces are allowed there is no network at all, not even loopback.
  const cut = spawnSync('unshare', ['--net', 'true']).status === 0 ? ['unshare', '--net'] : [];
  const run = (...command: string[]) => {
    const [file, ...args] = [...cut, ...command];
    return spawnSync(file!, args, { cwd: folder, env: { PATH, HOME: folder }, encoding: 'utf8' });
  };
  context.diagnostic(cut.length > 0 ? 'without network' : 'namespaces are not allowed: with network');
  for (const command of ['slip-launch', 'slip-submit', 'slip-data', 'slip-checkpoint']) {
    const { status, stdout, stderr } = run(command, '--help');
    assert.equal(status, 0, `${command}: ${stderr}`);
    assert.match(stdout, new RegExp(command));
  }
  const dry = run('slip-submit', '--dry-run', '--nodes', '1', '--job-dir', `${folder}/run`, 'bench-comm');
  assert.match(dry.stdout, new RegExp(`^slip=${folder}/${name}/orchestrator/bin$`, 'm'), dry.stderr);

  await context.test('a job from it', { skip: skipWithoutSlurm() }, async (inner) => {
    const cluster = await startCluster(inner, '--nodes', '2', '--gpus', '2', '--cpus', '4', '--no-rest');
    const runs = await tinyRuns(inner);
    const { stdout, stderr, status } = spawnSync('slip-submit', ['--json', ...runs.run('job', '--epochs', '1')], {
      cwd: folder,
      env: { ...cluster.environment, PATH: `${bin}:${cluster.environment.PATH}` },
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    const job: Submitted = JSON.parse(stdout);
    await cluster.untilState(job.jobId, ['COMPLETED', 'FAILED'], 120);
    assert.equal(await cluster.jobField(job.jobId, 'JobState'), 'COMPLETED', jobOutput(job));
    assert.equal(finalWeights(job.runFolder).step, 15);
  });
});
