// The import of tfjs: silent about tfjs-node, gradients registered, CPU backend chosen.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { tf } from './tfjs.js';

test('first use prints nothing, and later warnings are still printed', () => {
  const program = `
    import { tf } from ${JSON.stringify(new URL('./tfjs.js', import.meta.url).href)};
    tf.tensor1d([1, 2]).square().dataSync();
    console.error('used');
    tf.backend_util.warn('a real warning');
  `;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  assert.equal(child.stdout, '');
  assert.equal(child.stderr, 'used\na real warning\n');
});

test('gradients are registered and the backend is the CPU', () => {
  assert.equal(tf.getBackend(), 'cpu');
  assert.deepEqual(
    tf.tidy(() =>
      tf
        .grad((x) => tf.mean(tf.square(x)))(tf.tensor1d([1, 2]))
        .arraySync(),
    ),
    [1, 2],
  );
});
