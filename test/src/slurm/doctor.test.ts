// `slip-submit doctor` on a real cluster of two nodes: what is well, and what is to be mended, with its exit code.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { skipWithoutSlurm, startCluster } from './cluster.js';
import { slipSubmit } from './submit-runs.js';

const JOB = ['--nodes', '2', '--ngpus', '2', '--cpus-per-task', '1', '--gpu-request', 'gres'];

test('slip-submit doctor looks at two nodes', { skip: skipWithoutSlurm() }, async (context) => {
  const cluster = await startCluster(context, '--nodes', '2', '--gpus', '2', '--cpus', '4', '--no-rest');
  const { code, stdout, stderr } = await slipSubmit(cluster, ['doctor', '--json', ...JOB]);
  const { findings, runFolder } = JSON.parse(stdout);
  const levels = Object.fromEntries(findings.map(({ check, level }: Record<string, string>) => [check, level]));
  assert.equal(code, 0, `${stderr}\n${stdout}`);
  assert.equal(path.dirname(runFolder), path.join(path.dirname(cluster.folder), 'runs'));
  for (const check of ['nodes', 'node', 'libraries', 'shared folder', 'clock', 'network', 'shared memory', 'disk'])
    assert.equal(levels[check], 'ok', stdout);
  const text = (check: string) => findings.find((finding: Record<string, string>) => finding.check === check).text;
  assert.equal(text('node'), `Node ${process.version}`);
  assert.match(text('shared folder'), /^a new file is seen on the other nodes after at most [\d.]+ m?s/);
  assert.match(text('network'), /^all-reduce of 4 MB in .*, bus bandwidth [\d.]+ GB\/s; round trip to node 0/);
  context.diagnostic(findings.map(({ check, text }: Record<string, string>) => `${check}: ${text}`).join('; '));
});
