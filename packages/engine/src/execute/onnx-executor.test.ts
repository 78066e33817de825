// The compiled executor: results land in the caller's memory, run after run with the same bits.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { allReduceSum } from '../collectives.js';
import { attention } from '../ops/attention.js';
import { gelu } from '../ops/gelu.js';
import { layerNorm } from '../ops/layer-norm.js';
import { linear } from '../ops/linear.js';
import { assertClose, testStep, testValues } from '../testing/compare-backends.js';
import { tf } from '../tfjs.js';
import { createEagerExecutor } from './eager-executor.js';
import { createOnnxExecutor } from './onnx-executor.js';

const SINGLE = { rank: 0, worldSize: 1, threads: 2 };

const affine = testStep({ x: { shape: [2, 3] }, n: { shape: [3], dtype: 'int32' } }, ({ x, n }) => ({
  y: tf.add(tf.mul(x!, 2), tf.cast(n!, 'float32')),
  doubled: tf.add(n!, n!),
  above: tf.greater(x!, 2),
}));

test('inputs are read from and outputs written to the given memory, at any offset', async () => {
  const arena = new Float32Array(64).fill(-1);
  const integers = new Int32Array(16).fill(-1);
  const executor = await createOnnxExecutor(affine, {
    ...SINGLE,
    // Byte offsets 4, 28 and 4: aligned to nothing but the element.
    inputs: { x: arena.subarray(1, 7), n: integers.subarray(1, 4) },
    outputs: { y: arena.subarray(7, 13), doubled: integers.subarray(5, 8) },
  });
  for (const factor of [1, 10]) {
    arena.set(
      [1, 2, 3, 4, 5, 6].map((value) => value * factor),
      1,
    );
    integers.set([1, -2, 3], 1);
    await executor.run();
    assert.deepEqual(
      [...arena.subarray(7, 13)],
      [1, 2, 3, 4, 5, 6].map((v, i) => 2 * v * factor + [1, -2, 3][i % 3]!),
    );
    assert.deepEqual([...integers.subarray(5, 8)], [2, -4, 6]);
  }
  assert.deepEqual([arena[0], arena[13], integers[0], integers[4], integers[8]], [-1, -1, -1, -1, -1]);
  assert.equal(executor.output('y').buffer, arena.buffer);
  await executor.close();
});

test('bool results become int32 outputs', async () => {
  for (const executor of [await createOnnxExecutor(affine, SINGLE), await createEagerExecutor(affine)]) {
    executor.input('x').set([1, 2, 3, 4, 0, -1]);
    await executor.run();
    assert.deepEqual(executor.output('above'), Int32Array.of(0, 0, 1, 1, 0, 0));
    await executor.close();
  }
});

test('outputs that are inputs, constants or the same value are all written', async () => {
  const step = testStep({ x: { shape: [2] }, n: { shape: [2], dtype: 'int32' } }, ({ x, n }) => {
    const y = tf.neg(x!);
    return { y, again: tf.reshape(y, [2, 1]), same: y, input: x!, int: n!, one: tf.scalar(1), sliced: tf.zeros([3]) };
  });
  const executor = await createOnnxExecutor(step, SINGLE);
  executor.input('x').set([3, -4]);
  executor.input('n').set([5, 6]);
  executor.output('sliced').fill(9);
  await executor.run();
  const outputs = ['y', 'again', 'same', 'input', 'int', 'one', 'sliced'].map((name) => [...executor.output(name)]);
  assert.deepEqual(outputs, [[-3, 4], [-3, 4], [-3, 4], [3, -4], [5, 6], [1], [0, 0, 0]]);
  await executor.close();
});

test('two runs and two executors give the same bits', async () => {
  const inputs = { x: { shape: [3, 9, 32] }, w: { shape: [32, 32] }, g: { shape: [32] } };
  const step = testStep(inputs, (t) => {
    const { value, grads } = tf.valueAndGrads((w: tf.Tensor, g: tf.Tensor) => {
      const h = layerNorm(linear(t.x!, w, g), g, g, 1e-6);
      const heads = tf.transpose(tf.reshape(h, [3, 9, 4, 8]), [0, 2, 1, 3]);
      const mixed = tf.transpose(attention(heads, heads, heads, { causal: true }), [0, 2, 1, 3]);
      return tf.mean(tf.square(gelu(linear(tf.reshape(mixed, [3, 9, 32]), w, g))));
    })([t.w!, t.g!]);
    return { value, dw: grads[0]!, dg: grads[1]! };
  });
  const results: string[] = [];
  for (let copy = 0; copy < 2; copy++) {
    const executor = await createOnnxExecutor(step, SINGLE);
    Object.entries(inputs).forEach(([name, input], stream) => {
      executor.input(name).set(testValues(input, stream));
    });
    for (let run = 0; run < 2; run++) {
      await executor.run();
      results.push(
        ['value', 'dw', 'dg'].map((name) => Buffer.from(executor.output(name).slice().buffer).toString('hex')).join(),
      );
    }
    await executor.close();
  }
  assert.equal(new Set(results).size, 1);
});

test('values that cross a cut live in memory that is allocated once', async () => {
  const step = testStep({ x: { shape: [2, 3] } }, ({ x }) => {
    const squared = tf.square(x!);
    return { y: tf.mul(tf.reshape(squared, [3, 2]), tf.reshape(allReduceSum(tf.exp(x!)), [3, 2])) };
  });
  const doubling = {
    allGather: () => Promise.reject(new Error('not used')),
    reduceScatter: () => Promise.reject(new Error('not used')),
    allReduce: async (buffer: Float32Array) => {
      for (let i = 0; i < buffer.length; i++) buffer[i]! *= 2;
    },
  };
  const executor = await createOnnxExecutor(step, { rank: 0, worldSize: 2, threads: 1, collectives: doubling });
  // squared, exp(x) and its sum: 6 floats each; reshaping them stores nothing.
  assert.deepEqual(
    { segments: executor.stats.segments, collectives: executor.stats.collectives, bytes: executor.stats.crossingBytes },
    { segments: 2, collectives: 1, bytes: 3 * 24 },
  );
  const x = [0.1, -0.2, 0.3, 1, -1, 2];
  executor.input('x').set(x);
  await executor.run();
  await executor.run();
  assertClose(
    executor.output('y'),
    x.map((value) => value * value * 2 * Math.exp(value)),
    1e-6,
    'y',
  );
  await executor.close();
});

test('a failing collective fails the run', async () => {
  const step = testStep({ x: { shape: [2] } }, ({ x }) => ({ y: allReduceSum(x!) }));
  const failing = {
    allGather: async () => {},
    reduceScatter: async () => {},
    allReduce: () => Promise.reject(new Error('peer 1 is gone')),
  };
  const executor = await createOnnxExecutor(step, { rank: 0, worldSize: 2, threads: 1, collectives: failing });
  await assert.rejects(executor.run(), /peer 1 is gone/);
  await executor.close();
});

test('memory that does not fit, unknown names and missing collectives are refused', async () => {
  const refused = async (options: Partial<Parameters<typeof createOnnxExecutor>[1]>, message: RegExp) =>
    assert.rejects(createOnnxExecutor(affine, { ...SINGLE, ...options }), { code: 'internal', message });
  await refused({ inputs: { x: new Float32Array(5) } }, /input 'x' is Float32Array\(5\).*needs 6/);
  await refused({ outputs: { doubled: new Float32Array(3) } }, /output 'doubled' is Float32Array\(3\).*int32/);
  await refused({ inputs: { z: new Float32Array(5) } }, /no input 'z'; it has x, n/);
  const summing = testStep({ x: { shape: [2] } }, ({ x }) => ({ y: allReduceSum(x!) }));
  await assert.rejects(createOnnxExecutor(summing, { ...SINGLE, worldSize: 2 }), { message: /has collectives/ });
  const executor = await createOnnxExecutor(affine, SINGLE);
  assert.throws(() => executor.output('z'), { code: 'internal', message: /no output 'z'; it has y, doubled, above/ });
  await executor.close();
  await assert.rejects(executor.run(), { code: 'internal', message: /after it was closed/ });
});

test('a profile is written on close where one is asked for', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'engine-profile-'));
  try {
    const executor = await createOnnxExecutor(affine, { ...SINGLE, profilePrefix: join(folder, 'step') });
    await executor.run();
    await executor.close();
    assert.ok(readdirSync(folder).some((file) => file.startsWith('step-segment0') && file.endsWith('.json')));
  } finally {
    rmSync(folder, { recursive: true });
  }
  assert.ok(!existsSync(folder));
});
