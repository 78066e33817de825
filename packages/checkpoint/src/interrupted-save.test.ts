// A save killed or failed at every single file operation: the previous checkpoint or the new one is there, whole.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Logger, SlipError, silentLogger } from '@slip/core';
import { findLatestCheckpoint, saveCheckpoint } from './index.js';
import { installFaultPoints } from './testing/fault-points.js';
import { assertHoldsSample, sampleFiles } from './testing/sample-tensors.js';
import { temporaryFolder } from './testing/temporary-folder.js';

const PROGRAM = fileURLToPath(new URL('./testing/killed-save.js', import.meta.url));
const noWarnings: Logger = { ...silentLogger, warn: (message) => assert.fail(`unexpected warning: ${message}`) };

/** @param last only the last so many operations, for what differs only there */
async function runKilled(t: TestContext, step: number, last = Number.POSITIVE_INFINITY): Promise<void> {
  const origin = path.join(temporaryFolder(t), 'origin');
  await saveCheckpoint(origin, { step: 5, files: sampleFiles(1), state: { value: 1 }, keepLast: 1 });
  const folder = path.join(temporaryFolder(t), 'checkpoints');
  const program = (killAt: number) =>
    spawnSync(process.execPath, [PROGRAM, folder, String(step), '2', String(killAt)], { encoding: 'utf8' });
  const startAfresh = () => {
    rmSync(folder, { recursive: true, force: true });
    cpSync(origin, folder, { recursive: true, verbatimSymlinks: true });
  };
  startAfresh();
  const operations = Number(program(0).stdout);
  assert.ok(operations > 30, `only ${operations} operations were seen`);
  const found = new Set<number>();
  for (let killAt = Math.max(1, operations - last + 1); killAt <= operations; killAt++) {
    startAfresh();
    const killed = program(killAt);
    assert.equal(killed.signal, 'SIGKILL', `not killed at ${killAt}: ${killed.stderr}`);
    const checkpoint = await findLatestCheckpoint(folder, { log: noWarnings });
    const value = Number(checkpoint?.state.value);
    assert.ok(value === 1 || value === 2, `nothing to continue from after a kill at ${killAt}`);
    await assertHoldsSample(checkpoint!, value);
    found.add(value);
    await saveCheckpoint(folder, { step: 7, files: sampleFiles(3), state: {}, keepLast: 1 });
    assert.deepEqual(readdirSync(folder).sort(), ['latest', 'step-00000007'], `leftovers of a kill at ${killAt}`);
  }
  assert.deepEqual(found, new Set([1, 2]));
}

test('killed at any operation of a save, a run continues from the previous or the new checkpoint', async (t) => {
  await runKilled(t, 6);
});

test('killed while a checkpoint of the same step is being replaced, one of the two is whole', async (t) => {
  await runKilled(t, 5, 18);
});

for (const code of ['ENOSPC', 'EIO']) {
  test(`${code} at any operation of a save leaves the previous checkpoint and nothing half-written`, async (t) => {
    const folder = temporaryFolder(t);
    let failures = 0;
    for (let failAt = 1, operations = Number.POSITIVE_INFINITY; failAt <= operations; failAt++) {
      rmSync(folder, { recursive: true, force: true });
      await saveCheckpoint(folder, { step: 5, files: sampleFiles(1), state: {}, keepLast: 1 });
      const restore = await installFaultPoints(async (operation, index) => {
        if (index === failAt) throw Object.assign(new Error(`${code}: injected into ${operation}`), { code });
      });
      let failure: unknown;
      try {
        await saveCheckpoint(folder, { step: 6, files: sampleFiles(2), state: {}, keepLast: 9 });
      } catch (error) {
        failure = error;
      }
      operations = restore();
      const left = readdirSync(folder).filter((name) => !['latest', 'step-00000005', 'step-00000006'].includes(name));
      assert.deepEqual(left, [], `left after a failure at ${failAt}`);
      const found = await findLatestCheckpoint(folder, { log: noWarnings });
      assert.ok(found);
      await assertHoldsSample(found, found.step === 5 ? 1 : 2);
      if (failure === undefined) continue;
      failures += 1;
      assert.ok(failure instanceof SlipError && failure.code === 'checkpoint', String(failure));
      assert.match(
        failure.message,
        new RegExp(`cannot save step 6 .*\\(${code}\\); the previous checkpoint \\(step [56]\\) is intact`),
      );
    }
    assert.ok(failures > 20, `only ${failures} failures reached the caller`);
  });
}

test('a full disk is named and costs only the checkpoint that did not fit', async (t) => {
  const folder = temporaryFolder(t);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { encoding: 'utf8' });
  if (mounted.status !== 0) {
    t.skip(`cannot mount a small tmpfs here: ${mounted.stderr?.trim() ?? mounted.error?.message} (${os.platform()})`);
    return;
  }
  try {
    const checkpoints = path.join(folder, 'checkpoints');
    mkdirSync(checkpoints);
    const files = (value: number, length: number) => ({
      model: [{ name: 'w', dtype: 'F32' as const, shape: [length], data: new Float32Array(length).fill(value) }],
    });
    await saveCheckpoint(checkpoints, { step: 1, files: files(1, 100_000), state: {}, keepLast: 2 });
    await assert.rejects(
      saveCheckpoint(checkpoints, { step: 2, files: files(2, 200_000), state: {}, keepLast: 2 }),
      /cannot save step 2 .*disk is full \(ENOSPC\): 0.\d MB are free, 0.9 MB are needed; the previous checkpoint \(step 1\) is intact; free some space and run again/,
    );
    assert.deepEqual(readdirSync(checkpoints).sort(), ['latest', 'step-00000001']);
    await saveCheckpoint(checkpoints, { step: 2, files: files(2, 100_000), state: {}, keepLast: 2 });
    assert.equal((await findLatestCheckpoint(checkpoints, { log: noWarnings }))?.step, 2);
  } finally {
    spawnSync('umount', [folder]);
  }
});
