// The installed command slip-launch, as a process: what it says about mistakes, and its help page.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const command = fileURLToPath(new URL('../../../orchestrator/bin/slip-launch.js', import.meta.url));

function slipLaunch(...argv: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...argv], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

test('a mistake on the command line is one line that names it, with exit code 2', () => {
  for (const [argv, message] of [
    [['--nprocs', '2'], /unknown flag --nprocs; did you mean --nproc\?/],
    [['--modle', 'SLIP_VITB16'], /unknown flag --modle; did you mean --model\?/],
    [['pretrian'], /unknown task "pretrian"; did you mean pretrain\?/],
    [['--nnodes', '1:2'], /elastic/],
    [['--nproc', 'lots'], /--nproc lots: expected 1 to 1024, auto, cpu or gpu/],
    [['--tee', '7'], /--tee 7/],
  ] as const) {
    const { status, stdout, stderr } = slipLaunch(...argv);
    assert.equal(status, 2, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, /^slip-launch: \[config\] .*\n$/);
    assert.match(stderr, message);
  }
});

test('--help lists launch and task flags, but not what is only accepted for old scripts', () => {
  const { status, stdout, stderr } = slipLaunch('pretrain', '--help');
  assert.equal(status, 0, stderr);
  for (const flag of ['--nproc', '--rdzv-endpoint', '--max-restarts', '--model', '--recipe', '--dry-run'])
    assert.ok(stdout.includes(flag), `${flag} in the help page`);
  assert.doesNotMatch(stdout, /--dist-url|--local-rank\b/);
});

test('--version names the program and its version', () => {
  assert.match(slipLaunch('--version').stdout, /^slip-launch \d+\.\d+\.\d+\n$/);
});
