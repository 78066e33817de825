// Embedding: finite differences, repeated ids, and compiled equal to eager.
import assert from 'node:assert/strict';
import test from 'node:test';
import { assertSameOnBothBackends, runCompiled, testStep } from '../testing/compare-backends.js';
import { assertGradientsMatchDifferences } from '../testing/finite-differences.js';
import { tf } from '../tfjs.js';
import { traceStep } from '../trace/trace-step.js';
import { embedding } from './embedding.js';

const inputs = {
  table: { shape: [5, 3] },
  ids: { shape: [2, 4], dtype: 'int32' as const, values: [0, 4, 4, 1, 0, 0, 4, 2] },
};

const step = ({ table, ids }: Record<string, tf.Tensor>) => {
  const { value, grads } = tf.valueAndGrads((t: tf.Tensor) => tf.sum(tf.square(embedding(t, ids!))))([table!]);
  return { value, y: embedding(table!, ids!), gradient: grads[0]! };
};

test('gradients of embedding match finite differences', () => {
  assertGradientsMatchDifferences(inputs, (table, ids) => embedding(table!, ids!));
});

test('embedding and its gradient are the same compiled', async () => {
  await assertSameOnBothBackends(inputs, step);
});

test('rows that are not looked up get a zero gradient, at every run', async () => {
  const { gradient } = await runCompiled(inputs, step);
  assert.deepEqual([...gradient!.slice(9, 12)], [0, 0, 0]);
  assert.ok(gradient!.slice(0, 3).every((value) => value !== 0));
});

test('a table used twice gets the sum of both gradients', async () => {
  const twice = ({ table, ids }: Record<string, tf.Tensor>) => {
    const { grads } = tf.valueAndGrads((t: tf.Tensor) =>
      tf.sum(tf.mul(embedding(t, ids!), embedding(t, tf.reverse(tf.ones([2, 4], 'int32'))))),
    )([table!]);
    return { gradient: grads[0]! };
  };
  await assertSameOnBothBackends(inputs, twice);
});

test('a gradient that is only an output needs no second segment', () => {
  assert.equal(traceStep(testStep(inputs, step)).segments.length, 1);
});
