// What users meet when shared memory is short, in a mount namespace of its own; and that none is left behind, whatever happens.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { root, start } from '../pretrain/launch-runs.js';

const slipLaunch = path.join(root, 'orchestrator/bin/slip-launch.js');
const canMount = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/dev/shm']).status === 0;

/** Runs bench-comm where /dev/shm has only so much room. */
function benchWith(shmSize: string, sizes: string) {
  const run = `mount -t tmpfs -o size=${shmSize} tmpfs /dev/shm && "$@"; code=$?; ls -A /dev/shm; exit $code`;
  const command = [process.execPath, slipLaunch, '--nproc', '2', 'bench-comm', '--sizes', sizes, '--json'];
  return spawnSync('unshare', ['-m', 'sh', '-c', run, 'sh', ...command], { encoding: 'utf8' });
}

for (const [what, shmSize, sizes] of [
  ['too little for the buffers', '24M', '16K:64M:4096'],
  ['too little for anything', '64K', '1K:1M:32'],
] as const) {
  test(`${what}: one warning that names the rank, and right results`, { skip: !canMount && 'needs root' }, () => {
    const { status, stdout, stderr } = benchWith(shmSize, sizes);
    assert.equal(status, 0, stderr);
    const warnings = stderr.split('\n').filter((line) => line.includes('cannot reserve'));
    assert.equal(warnings.length, 1, stderr);
    assert.match(warnings[0], /rank \d: cannot reserve \d+ MiB of shared memory: \/dev\/shm is full; .*--shm-size/);
    const lines = stdout.trim().split('\n');
    assert.ok(lines.length >= 2 && lines.every((line) => JSON.parse(line).errors === 0), stdout);
  });
}

test('no shared memory is left by ranks that are killed', async () => {
  // Semaphores of other programs come and go.
  const shared = () => readdirSync('/dev/shm').filter((name) => !name.startsWith('sem.'));
  const before = shared();
  const run = start(['--nproc', '2', '--max-restarts', '0', 'bench-comm', '--sizes', '16M', '--iterations', '100000']);
  await run.until(/all-reduce, float32, 2 ranks/);
  assert.deepEqual(shared(), before, 'not even while it runs');
  const workers = spawnSync('pgrep', ['-P', String(run.child.pid)], { encoding: 'utf8' })
    .stdout.trim()
    .split('\n');
  for (const pid of [...workers.map(Number), run.child.pid!]) process.kill(pid, 'SIGKILL');
  await run.finished;
  assert.deepEqual(shared(), before);
});
