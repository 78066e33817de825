// --wandb through slip-launch, in wandb's own offline mode: needs a Python with wandb, named by SLIP_WANDB_PYTHON.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { datasetFlags, launch, makeTinySet, TINY_MODEL, temporaryFolder } from './launch-runs.js';

const python = process.env.SLIP_WANDB_PYTHON ?? 'python3';
const hasWandb = spawnSync(python, ['-c', 'import wandb']).status === 0;
const isRequired = process.env.CI_REQUIRE_WANDB === '1';

test('a run streams its metrics', { skip: !hasWandb && !isRequired && `${python} has no wandb` }, async (context) => {
  const folder = temporaryFolder(context);
  const set = await makeTinySet(path.join(folder, 'set'), 24);
  const runFolder = path.join(folder, 'run');
  process.env.WANDB_MODE = 'offline';
  process.env.SLIP_WANDB_PYTHON = python;
  context.after(() => {
    delete process.env.WANDB_MODE;
  });
  const { code, output } = await launch([
    ...['--nproc', '2', '--batch-size', '4', '--epochs', '2', '--lr', '1e-3', '--output-dir', runFolder, '--wandb'],
    ...[...datasetFlags(set), '--model', 'CLIP_VITS16', ...TINY_MODEL],
  ]);
  assert.equal(code, 0, output);
  assert.doesNotMatch(output, /wandb failed/);
  const runs = readdirSync(path.join(runFolder, 'wandb')).filter((name) => name.startsWith('offline-run-'));
  assert.equal(runs.length, 1);
  const [file] = readdirSync(path.join(runFolder, 'wandb', runs[0])).filter((name) => name.endsWith('.wandb'));
  assert.equal(file, 'run-run.wandb', 'its id is the name of the run folder');
  assert.ok(statSync(path.join(runFolder, 'wandb', runs[0], file)).size > 1000);
});
