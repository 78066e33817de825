// slip-submit on a machine without Slurm: a dry run shows everything, a submission says what is missing, both at once.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { root } from '../pretrain/launch-runs.js';

const program = path.join(root, 'orchestrator/bin/slip-submit.js');

test('without Slurm there is a dry run, and one line about what is missing', (context) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-test-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const slipSubmit = (...argv: string[]) =>
    spawnSync(process.execPath, [program, ...argv], {
      encoding: 'utf8',
      cwd: folder,
      env: { PATH: folder, HOME: folder, USER: 'ann' },
      timeout: 120_000,
    });
  const dry = slipSubmit('--recipe', 'slip_vitb16', '--dry-run');
  assert.equal(dry.status, 0, dry.stderr);
  assert.match(dry.stdout, /^#!\/bin\/bash\n#SBATCH --job-name=slip\n/);
  assert.match(dry.stdout, /^# +ranks +64 = 8 node\(s\) x 8$/m);
  assert.match(dry.stdout, new RegExp(`^run=${folder}/runs/"\\$SLURM_JOB_ID"$`, 'm'));
  const real = slipSubmit('--recipe', 'slip_vitb16', '--nodes', '1');
  assert.equal(real.status, 10, real.stderr);
  assert.match(
    real.stderr,
    /\[scheduler\] sbatch is not on PATH, and there is no address of slurmrestd: give --rest-url/,
  );
  const rest = slipSubmit('--recipe', 'slip_vitb16', '--via', 'rest', '--rest-url', `unix:${folder}/none.sock`);
  assert.equal(rest.status, 10, rest.stderr);
  assert.match(rest.stderr, /\[scheduler\] slurmrestd: .*none.sock cannot be reached: ENOENT/);
  const typo = slipSubmit('--partiton', 'gpu');
  assert.equal(typo.status, 2);
  assert.match(typo.stderr, /^slip-submit: \[config\] unknown flag --partiton; did you mean --partition\?\n$/);
  const help = slipSubmit('--help');
  assert.equal(help.status, 0, help.stderr);
  for (const flag of ['--ngpus', '--job-dir', '--use-volta32', '--signal-lead', '--model', '--max-restarts'])
    assert.ok(help.stdout.includes(flag), `${flag} on the help page`);
  const version = slipSubmit('--version');
  assert.deepEqual([version.status, /^slip-submit \d+\.\d+\.\d+\n$/.test(version.stdout)], [0, true]);
  const status = slipSubmit('status', '--help');
  assert.match(status.stdout, /^slip-submit status RUN\n[\s\S]*--rest-url/);
  const bench = slipSubmit('bench-comm', '--nodes', '2', '--sizes', '1K:1M', '--dry-run');
  assert.equal(bench.status, 0, bench.stderr);
  assert.match(bench.stdout, /^# bench-comm: all-reduce, 11 sizes from 1024 to 1048576 bytes/m);
  const source = ['--resume', 'slip_base_100ep', '--images', folder];
  const embed = slipSubmit('embed', ...source, '--job_dir', 'runs/x', '--dry-run');
  assert.equal(embed.status, 0, embed.stderr);
  assert.match(embed.stdout, new RegExp(`^# embed in ${folder}/runs/x\n[^]*"outputDir": "${folder}/runs/x"`, 'm'));
  const wrong = slipSubmit('bench-comm', '--op', 'sum', '--dry-run');
  assert.deepEqual([wrong.status, /^slip-submit: \[config\] --op is "sum"; one of /.test(wrong.stderr)], [2, true]);
  assert.deepEqual(readdirSync(folder), [], 'nothing is left behind');
});
