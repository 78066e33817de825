// Convolutions and their gradients: compiled against the plain loops, and those against finite differences of nothing but sums.
import assert from 'node:assert/strict';
import test from 'node:test';
import { assertSameOnBothBackends, withGradients } from '../testing/compare-backends.js';
import { conv2d } from './convolution.js';

for (const [size, kernel, stride, padding] of [
  [8, 3, 1, 1],
  [8, 3, 2, 1],
  [7, 3, 2, 1],
  [6, 1, 1, 0],
  [5, 2, 2, 0],
] as const) {
  test(`convolution of ${size} x ${size} with kernel ${kernel}, stride ${stride}, padding ${padding}`, async () => {
    const inputs = { x: { shape: [3, 2, size, size] }, weight: { shape: [4, 2, kernel, kernel] } };
    const found = await assertSameOnBothBackends(
      inputs,
      withGradients((x, weight) => conv2d(x!, weight!, { stride, padding })),
      1e-5,
    );
    assert.equal(found['gradient of weight']!.length, 4 * 2 * kernel * kernel);
  });
}

test('the one product of a 1 x 1 picture is what it should be', async () => {
  const inputs = { x: { shape: [1, 1, 1, 1], values: [3] }, weight: { shape: [1, 1, 3, 3], values: (i: number) => i } };
  const found = await assertSameOnBothBackends(inputs, ({ x, weight }) => ({
    y: conv2d(x!, weight!, { stride: 1, padding: 1 }),
  }));
  assert.deepEqual(Array.from(found.y!), [12]);
});
