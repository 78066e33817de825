// Matrix products: compiled results equal tfjs' own for every transposition and batch broadcasting.
import test from 'node:test';
import { assertSameOnBothBackends, withGradients } from '../testing/compare-backends.js';
import { tf } from '../tfjs.js';

const flip = (shape: readonly number[], transposed: boolean) =>
  transposed ? [...shape.slice(0, -2), shape[shape.length - 1]!, shape[shape.length - 2]!] : [...shape];

const CASES: ReadonlyArray<readonly [string, number[], number[]]> = [
  ['matrices', [3, 5], [5, 4]],
  ['single row and column', [1, 7], [7, 1]],
  ['equal batches', [2, 3, 5], [2, 5, 4]],
  ['two batch axes', [2, 3, 4, 5], [2, 3, 5, 1]],
  ['a batch against one matrix', [3, 2, 5], [1, 5, 4]],
  ['a batch against a plain matrix', [3, 2, 5], [5, 4]],
];

for (const [name, a, b] of CASES) {
  test(`matMul of ${name} equals tfjs in every transposition`, async () => {
    for (const transposeA of [false, true]) {
      for (const transposeB of [false, true]) {
        const inputs = { a: { shape: flip(a, transposeA) }, b: { shape: flip(b, transposeB) } };
        await assertSameOnBothBackends(inputs, ({ a, b }) => ({ y: tf.matMul(a!, b!, transposeA, transposeB) }));
      }
    }
  });
}

test('gradients of matMul equal tfjs', async () => {
  const inputs = { a: { shape: [2, 3, 5] }, b: { shape: [2, 4, 5] } };
  await assertSameOnBothBackends(
    inputs,
    withGradients((a, b) => tf.matMul(a!, b!, false, true)),
  );
});

test('fused matMul with bias and relu equals tfjs', async () => {
  await assertSameOnBothBackends({ a: { shape: [3, 5] }, b: { shape: [5, 4] }, bias: { shape: [4] } }, (t) => ({
    relu: tf.fused.matMul({ a: t.a!, b: t.b!, bias: t.bias!, activation: 'relu' }),
    linear: tf.fused.matMul({ a: t.a!, b: t.b! }),
  }));
});

test('dot of vectors equals tfjs', async () => {
  await assertSameOnBothBackends({ a: { shape: [6] }, b: { shape: [6] } }, ({ a, b }) => ({ y: tf.dot(a!, b!) }));
});

test('products that are cut into blocks of rows equal tfjs, and so do their gradients', async () => {
  const inputs = { a: { shape: [400, 130] }, b: { shape: [130, 7] } };
  const product = (a?: tf.Tensor, b?: tf.Tensor) => tf.matMul(a!, b!);
  await assertSameOnBothBackends(inputs, withGradients(product), 2e-5);
  const batches = { a: { shape: [3, 200, 5] }, b: { shape: [131, 5] } };
  await assertSameOnBothBackends(batches, ({ a, b }) => ({ y: tf.matMul(a!, b!, false, true) }));
});
