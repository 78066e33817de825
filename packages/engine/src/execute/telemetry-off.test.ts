// Running a step leaves nothing in the home folder: ONNX Runtime's reports are off unless somebody turns them on.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';

test('a process that computes writes nothing of its own accord', (t) => {
  const home = mkdtempSync(join(tmpdir(), 'slip-home-'));
  t.after(() => rmSync(home, { recursive: true }));
  const { ORT_DISABLE_TELEMETRY: _, ...environment } = process.env;
  const script = `
    const { createOnnxExecutor } = await import(${JSON.stringify(new URL('../index.js', import.meta.url).href)});
    const x = { name: 'x', shape: [2], dtype: 'float32' };
    const step = { name: 'same', inputs: [x], fn: ({ x }) => ({ y: x.square() }) };
    const executor = await createOnnxExecutor(step, { rank: 0, worldSize: 1, threads: 1 });
    await executor.run();
    await executor.close();`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    env: { ...environment, HOME: home, XDG_CACHE_HOME: join(home, 'cache'), TMPDIR: home },
  });
  assert.equal(status, 0, stderr);
  assert.deepEqual(readdirSync(home), []);
});
