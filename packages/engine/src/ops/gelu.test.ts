// GELU and quick GELU: published values, finite differences, and compiled equal to eager.
import test from 'node:test';
import { assertClose, assertSameOnBothBackends, runEagerly, withGradients } from '../testing/compare-backends.js';
import { assertGradientsMatchDifferences } from '../testing/finite-differences.js';
import { gelu, quickGelu } from './gelu.js';

test('gelu is x times the normal distribution function', async () => {
  const given = { x: { shape: [5], values: [-3, -1, 0, 1, 2.5] } };
  const { y } = await runEagerly(given, ({ x }) => ({ y: gelu(x!) }));
  // Phi(-3) = 0.0013498980, Phi(1) = 0.8413447461, Phi(2.5) = 0.9937903347.
  assertClose(y!, [-0.004049694, -0.1586552539, 0, 0.8413447461, 2.4844758367], 1e-7, 'y');
});

test('quickGelu is x times the sigmoid of 1.702 x', async () => {
  const given = { x: { shape: [3], values: [-1, 0, 2] } };
  const { y } = await runEagerly(given, ({ x }) => ({ y: quickGelu(x!) }));
  assertClose(y!, [-1 / (1 + Math.exp(1.702)), 0, 2 / (1 + Math.exp(-3.404))], 1e-7, 'y');
});

for (const [name, op] of [
  ['gelu', gelu],
  ['quickGelu', quickGelu],
] as const) {
  test(`gradients of ${name} match finite differences`, () => {
    assertGradientsMatchDifferences({ x: { shape: [3, 7] } }, (x) => op(x!));
  });

  test(`${name} and its gradient are the same compiled, far tails included`, async () => {
    for (const shape of [[], [1], [3, 1, 5]]) {
      await assertSameOnBothBackends(
        { x: { shape } },
        withGradients((x) => op(x!)),
      );
    }
    const tails = { shape: [9], values: [-40, -9, -5, -2.6, 0, 2.4, 5, 9, 40] };
    await assertSameOnBothBackends(
      { x: tails },
      withGradients((x) => op(x!)),
    );
  });
}
