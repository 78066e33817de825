// Reductions: compiled results equal tfjs' own over every choice of axes.
import test from 'node:test';
import { assertSameOnBothBackends } from '../testing/compare-backends.js';
import { tf } from '../tfjs.js';

const AXES: ReadonlyArray<readonly [number[], number | number[] | undefined]> = [
  [[], undefined],
  [[1], undefined],
  [[5], 0],
  [[3, 1, 4], undefined],
  [[3, 1, 4], 1],
  [[3, 1, 4], -1],
  [
    [3, 1, 4],
    [0, 2],
  ],
  [
    [2, 3, 2, 5],
    [1, 2],
  ],
];

const REDUCTIONS = { sum: tf.sum, mean: tf.mean, max: tf.max, min: tf.min, prod: tf.prod };

for (const [name, op] of Object.entries(REDUCTIONS)) {
  test(`${name} equals tfjs over every choice of axes`, async () => {
    for (const [shape, axis] of AXES) {
      for (const keepDims of [false, true]) {
        await assertSameOnBothBackends({ x: { shape } }, ({ x }) => ({ y: op(x!, axis, keepDims) }));
      }
    }
  });
}

test('reductions of int32 and bool equal tfjs', async () => {
  await assertSameOnBothBackends({ n: { shape: [3, 4], dtype: 'int32' } }, ({ n }) => ({
    sum: tf.sum(n!, 0),
    max: tf.max(n!, 1),
    min: tf.min(n!),
    prod: tf.prod(n!, 1),
    mean: tf.mean(n!, 1),
    count: tf.sum(tf.greater(n!, 0)),
  }));
});

test('argMax and argMin take the first of equal elements, as tfjs', async () => {
  for (const axis of [0, 1, -1]) {
    await assertSameOnBothBackends({ x: { shape: [3, 4], values: [1, 3, 3, 0, 2, 2, 2, 2, -1, -5, -1, -5] } }, (t) => ({
      max: tf.argMax(t.x!, axis),
      min: tf.argMin(t.x!, axis),
    }));
  }
});

test('softmax and logSoftmax equal tfjs, for large logits too', async () => {
  for (const shape of [[4], [1, 1], [2, 3, 5]]) {
    await assertSameOnBothBackends({ x: { shape, values: (i) => Math.sin(i) * 90 } }, ({ x }) => ({
      softmax: tf.softmax(x!),
      logSoftmax: tf.logSoftmax(x!),
    }));
  }
});
