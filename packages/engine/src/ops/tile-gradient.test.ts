// The gradient of tile and broadcastTo: finite differences, compiled equal to eager, and one sum.
import assert from 'node:assert/strict';
import test from 'node:test';
import { assertSameOnBothBackends, testStep, withGradients } from '../testing/compare-backends.js';
import { assertGradientsMatchDifferences } from '../testing/finite-differences.js';
import { tf } from '../tfjs.js';
import { traceStep } from '../trace/trace-step.js';
import './tile-gradient.js';

const CASES: ReadonlyArray<readonly [number[], number[]]> = [
  [[3], [2]],
  [
    [1, 1, 4],
    [5, 1, 1],
  ],
  [
    [2, 1, 3],
    [2, 3, 1],
  ],
  [
    [1, 2, 1, 2, 1],
    [2, 1, 3, 2, 1],
  ],
  [
    [2, 2],
    [1, 1],
  ],
];

test('gradients of tile match finite differences and are the same compiled', async () => {
  for (const [shape, reps] of CASES) {
    assertGradientsMatchDifferences({ x: { shape } }, (x) => tf.tile(x!, reps));
    await assertSameOnBothBackends(
      { x: { shape } },
      withGradients((x) => tf.tile(x!, reps)),
    );
  }
});

test('a token repeated over a batch costs one sum in the backward pass', () => {
  const step = testStep({ token: { shape: [1, 1, 4] }, w: { shape: [9, 1, 4] } }, ({ token, w }) => {
    const { grads } = tf.valueAndGrads((t: tf.Tensor) => tf.sum(tf.mul(tf.tile(t, [9, 1, 1]), w!)))([token!]);
    return { gradient: grads[0]! };
  });
  const names = traceStep(step).graph.nodes.map(({ kernel }) => kernel.name);
  assert.deepEqual(
    names.filter((name) => name === 'Slice' || name === 'Add'),
    [],
  );
  assert.equal(names.filter((name) => name === 'Sum').length, 1);
});
