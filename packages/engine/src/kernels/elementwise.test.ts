// Elementwise kernels: compiled results equal tfjs' own, with broadcasting, scalars and length-1 axes.
import test from 'node:test';
import { assertSameOnBothBackends, type TestInputs } from '../testing/compare-backends.js';
import { tf } from '../tfjs.js';

const SHAPES: ReadonlyArray<readonly [number[], number[]]> = [
  [[], []],
  [[3], []],
  [[], [2, 1, 3]],
  [[2, 3, 5], [5]],
  [
    [2, 1, 5],
    [3, 1],
  ],
  [
    [1, 1],
    [1, 7],
  ],
];

const positive = (i: number) => 0.3 + ((i * 5) % 7) * 0.4;
const pair = (a: number[], b: number[]): TestInputs => ({ a: { shape: a }, b: { shape: b } });

const BINARY = {
  add: tf.add,
  sub: tf.sub,
  mul: tf.mul,
  div: tf.div,
  maximum: tf.maximum,
  minimum: tf.minimum,
  squaredDifference: tf.squaredDifference,
  greater: tf.greater,
  greaterEqual: tf.greaterEqual,
  less: tf.less,
  lessEqual: tf.lessEqual,
};

for (const [name, op] of Object.entries(BINARY)) {
  test(`${name} equals tfjs under broadcasting`, async () => {
    for (const [a, b] of SHAPES) await assertSameOnBothBackends(pair(a, b), ({ a, b }) => ({ y: op(a!, b!) }));
  });
}

test('arithmetic and comparisons of int32 stay int32', async () => {
  const inputs: TestInputs = { a: { shape: [4, 3], dtype: 'int32' }, b: { shape: [3], dtype: 'int32' } };
  await assertSameOnBothBackends(inputs, ({ a, b }) => ({
    add: tf.add(a!, b!),
    sub: tf.sub(a!, b!),
    mul: tf.mul(a!, b!),
    maximum: tf.maximum(a!, b!),
    minimum: tf.minimum(a!, b!),
    equal: tf.equal(a!, b!),
    notEqual: tf.notEqual(a!, b!),
    less: tf.less(a!, b!),
    neg: tf.neg(a!),
    abs: tf.abs(a!),
    square: tf.square(a!),
  }));
});

test('pow equals tfjs for positive bases and for whole exponents of negative ones', async () => {
  await assertSameOnBothBackends({ a: { shape: [2, 5], values: positive }, b: { shape: [5] } }, ({ a, b }) => ({
    y: tf.pow(a!, b!),
  }));
  await assertSameOnBothBackends({ a: { shape: [7] } }, ({ a }) => ({ y: tf.pow(a!, 3), z: tf.pow(a!, 2) }));
});

test('equal and notEqual see equal elements', async () => {
  const inputs: TestInputs = {
    a: { shape: [2, 3], values: [1, 2, 3, 4, 5, 6] },
    b: { shape: [3], values: [1, 5, 3] },
  };
  await assertSameOnBothBackends(inputs, ({ a, b }) => ({ equal: tf.equal(a!, b!), notEqual: tf.notEqual(a!, b!) }));
});

const UNARY = {
  neg: tf.neg,
  abs: tf.abs,
  sign: tf.sign,
  exp: tf.exp,
  reciprocal: tf.reciprocal,
  square: tf.square,
  sigmoid: tf.sigmoid,
  tanh: tf.tanh,
  relu: tf.relu,
  step: tf.step,
  zerosLike: tf.zerosLike,
  onesLike: tf.onesLike,
  identity: tf.clone,
};

for (const [name, op] of Object.entries(UNARY)) {
  test(`${name} equals tfjs`, async () => {
    for (const shape of [[], [1], [5], [3, 1, 2]]) {
      await assertSameOnBothBackends({ x: { shape } }, ({ x }) => ({ y: op(x!) }));
    }
  });
}

test('erf equals tfjs within the error of its approximation', async () => {
  // tfjs uses a rational approximation with an error of 1.5e-7.
  await assertSameOnBothBackends({ x: { shape: [3, 7] } }, ({ x }) => ({ y: tf.erf(x!) }), 1e-6);
});

test('log, sqrt and rsqrt equal tfjs on positive numbers', async () => {
  for (const shape of [[], [1, 6], [2, 3]]) {
    await assertSameOnBothBackends({ x: { shape, values: positive } }, ({ x }) => ({
      log: tf.log(x!),
      sqrt: tf.sqrt(x!),
      rsqrt: tf.rsqrt(x!),
    }));
  }
});

test('step with a slope for the negative side equals tfjs', async () => {
  await assertSameOnBothBackends({ x: { shape: [9] } }, ({ x }) => ({ y: tf.step(x!, 0.25) }));
});

test('clipByValue equals tfjs', async () => {
  await assertSameOnBothBackends({ x: { shape: [3, 5] } }, ({ x }) => ({ y: tf.clipByValue(x!, -0.5, 0.75) }));
});

test('logical kernels and where equal tfjs', async () => {
  await assertSameOnBothBackends({ a: { shape: [2, 3] }, b: { shape: [2, 3] } }, ({ a, b }) => {
    const [left, right] = [tf.greater(a!, 0), tf.greater(b!, 0.2)];
    return {
      and: tf.logicalAnd(left, right),
      or: tf.logicalOr(left, right),
      not: tf.logicalNot(left),
      equal: tf.equal(left, right),
      where: tf.where(left, a!, b!),
      scalars: tf.where(left, 1.5, b!),
    };
  });
});

test('where broadcasts its condition and branches', async () => {
  await assertSameOnBothBackends({ a: { shape: [4, 1] }, b: { shape: [1, 3] } }, ({ a, b }) => ({
    y: tf.where(tf.greater(a!, 0), a!, b!),
  }));
});

test('casts between every pair of types equal tfjs', async () => {
  const inputs: TestInputs = {
    x: { shape: [6], values: [-2.7, -0.5, 0, 0.5, 1, 2.9] },
    n: { shape: [3], dtype: 'int32' },
  };
  await assertSameOnBothBackends(inputs, ({ x, n }) => ({
    floatToInt: tf.cast(x!, 'int32'),
    floatToBool: tf.cast(x!, 'bool'),
    intToFloat: tf.mul(tf.cast(n!, 'float32'), 0.5),
    intToBool: tf.cast(n!, 'bool'),
    boolToFloat: tf.mul(tf.cast(tf.greater(x!, 0), 'float32'), 0.25),
    boolToInt: tf.cast(tf.greater(x!, 0), 'int32'),
  }));
});

test('addN equals tfjs for one, two and five tensors of either type', async () => {
  await assertSameOnBothBackends(
    { a: { shape: [2, 3] }, b: { shape: [2, 3] }, n: { shape: [4], dtype: 'int32' } },
    (t) => ({
      one: tf.addN([t.a!]),
      two: tf.addN([t.a!, t.b!]),
      five: tf.addN([t.a!, t.b!, t.a!, t.a!, t.b!]),
      int: tf.addN([t.n!, t.n!, t.n!]),
    }),
  );
});
