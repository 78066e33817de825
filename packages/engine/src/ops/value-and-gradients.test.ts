// Differentiation with results beside the loss: they survive, nothing leaks, and unused variables are named.
import assert from 'node:assert/strict';
import test from 'node:test';
import { assertClose, assertSameOnBothBackends, testStep } from '../testing/compare-backends.js';
import { tf } from '../tfjs.js';
import { traceStep } from '../trace/trace-step.js';
import { valueAndGradients } from './value-and-gradients.js';

const inputs = { a: { shape: [2, 3] }, b: { shape: [3] } };

const fn = ({ a, b }: Record<string, tf.Tensor>) => {
  const { results, gradients } = valueAndGradients({ a: a!, b: b! }, ({ a, b }) => {
    const product = tf.mul(a, b);
    const loss = tf.sum(tf.square(product));
    return { loss, product, largest: tf.max(product), again: loss, input: b };
  });
  return { ...results, da: gradients.a, db: gradients.b, expected: tf.mul(tf.mul(a!, tf.square(b!)), 2) };
};

test('results beside the loss survive on both backends', async () => {
  const { da, expected } = await assertSameOnBothBackends(inputs, fn);
  assertClose(da!, expected!, 1e-6, 'da');
});

test('nothing is left behind, eagerly or traced', () => {
  const before = tf.memory().numTensors;
  tf.tidy(() => {
    fn({ a: tf.ones([2, 3]), b: tf.ones([3]) });
  });
  traceStep(testStep(inputs, fn));
  assert.equal(tf.memory().numTensors, before);
});

test('a variable that the loss does not depend on is named', () => {
  tf.tidy(() => {
    const variables = { used: tf.scalar(1), unused: tf.scalar(2) };
    assert.throws(() => valueAndGradients(variables, ({ used }) => ({ loss: tf.square(used) })), {
      code: 'internal',
      message: /does not depend on unused/,
    });
  });
});
