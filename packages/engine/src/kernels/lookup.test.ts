// Lookups by index tensors: compiled results equal tfjs' own.
import test from 'node:test';
import { assertSameOnBothBackends, type TestInputs } from '../testing/compare-backends.js';
import { tf } from '../tfjs.js';

test('gather equals tfjs along each axis, with repeated indices', async () => {
  const inputs: TestInputs = {
    x: { shape: [4, 3, 2] },
    ids: { shape: [2, 3], dtype: 'int32', values: [0, 2, 2, 1, 0, 0] },
    one: { shape: [1], dtype: 'int32', values: [1] },
  };
  await assertSameOnBothBackends(
    inputs,
    ({ x, ids, one }) => ({
      first: tf.gather(x!, ids!),
      middle: tf.gather(x!, ids!, 1),
      last: tf.gather(x!, one!, -1),
    }),
    0,
  );
});

test('oneHot equals tfjs, out-of-range indices included', async () => {
  const inputs: TestInputs = { ids: { shape: [2, 3], dtype: 'int32', values: [0, 4, -1, 2, 5, 2] } };
  await assertSameOnBothBackends(
    inputs,
    ({ ids }) => ({
      plain: tf.oneHot(ids!, 5),
      values: tf.oneHot(ids!, 5, 2.5, -1, 'float32'),
      flat: tf.oneHot(tf.reshape(ids!, [-1]), 3, 1, 0, 'bool'),
    }),
    0,
  );
});
