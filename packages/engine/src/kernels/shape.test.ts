// Movement of elements: compiled results equal tfjs' own, bit for bit.
import test from 'node:test';
import { assertSameOnBothBackends } from '../testing/compare-backends.js';
import { tf } from '../tfjs.js';

const EXACT = 0;

test('reshape, expandDims and squeeze equal tfjs', async () => {
  await assertSameOnBothBackends(
    { x: { shape: [2, 6] }, s: { shape: [] } },
    ({ x, s }) => ({
      inferred: tf.reshape(x!, [3, -1]),
      flat: tf.reshape(x!, [-1]),
      expanded: tf.expandDims(x!, 1),
      last: tf.expandDims(x!, -1),
      squeezed: tf.squeeze(tf.reshape(x!, [1, 12, 1])),
      scalar: tf.reshape(s!, [1, 1]),
      chain: tf.neg(tf.reshape(tf.reshape(x!, [4, 3]), [2, 2, 3])),
    }),
    EXACT,
  );
});

test('transpose equals tfjs for every permutation of three axes, and in chains', async () => {
  const permutations = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ];
  for (const shape of [
    [2, 3, 4],
    [2, 1, 4],
    [1, 1, 5],
  ]) {
    await assertSameOnBothBackends(
      { x: { shape } },
      ({ x }) => {
        const results = permutations.map((perm) => [`p${perm.join('')}`, tf.transpose(x!, perm)]);
        const chains = permutations.map((perm) => [
          `c${perm.join('')}`,
          tf.transpose(tf.transpose(x!, [1, 2, 0]), perm),
        ]);
        return Object.fromEntries([...results, ...chains]);
      },
      EXACT,
    );
  }
});

test('slice and stridedSlice equal tfjs', async () => {
  await assertSameOnBothBackends(
    { x: { shape: [4, 5, 3] } },
    ({ x }) => ({
      middle: tf.slice(x!, [1, 2, 0], [2, -1, 1]),
      whole: tf.slice(x!, [0, 0, 0], [4, 5, 3]),
      first: tf.slice(x!, [2], [1]),
      strided: tf.stridedSlice(x!, [0, 1, 0], [4, 5, 3], [2, 3, 1]),
      backwards: tf.stridedSlice(x!, [3, 4, 0], [0, 0, 3], [-1, -2, 1], 0, 2),
      shrunk: tf.stridedSlice(x!, [1, 0, 0], [2, 5, 3], [1, 1, 1], 0, 0, 0, 0, 1),
    }),
    EXACT,
  );
});

test('concat, stack, split and unstack equal tfjs', async () => {
  await assertSameOnBothBackends(
    { a: { shape: [2, 3] }, b: { shape: [2, 1] }, c: { shape: [2, 3] } },
    (t) => {
      const [left, middle, right] = tf.split(t.a!, 3, 1);
      const [wide, narrow] = tf.split(t.c!, [2, 1], -1);
      const rows = tf.unstack(t.c!, 0);
      const columns = tf.unstack(t.c!, -1);
      return {
        concat: tf.concat([t.a!, t.b!, t.c!], -1),
        rows: tf.concat([t.a!, t.c!], 0),
        one: tf.concat([t.a!], 1),
        stackFirst: tf.stack([t.a!, t.c!]),
        stackLast: tf.stack([t.a!, t.c!], 2),
        left: left!,
        middle: middle!,
        right: right!,
        wide: wide!,
        narrow: narrow!,
        secondRow: rows[1]!,
        lastColumn: columns[2]!,
      };
    },
    EXACT,
  );
});

test('stack of scalars and split into one part equal tfjs', async () => {
  await assertSameOnBothBackends(
    { a: { shape: [] }, b: { shape: [] } },
    ({ a, b }) => {
      const stacked = tf.stack([a!, b!]);
      return { stacked, part: tf.split(stacked, 1)[0]!, ends: tf.unstack(stacked)[1]! };
    },
    EXACT,
  );
});

test('tile and broadcastTo equal tfjs', async () => {
  await assertSameOnBothBackends(
    { x: { shape: [2, 1, 3] }, s: { shape: [] } },
    ({ x, s }) => ({
      tiled: tf.tile(x!, [2, 1, 3]),
      expanded: tf.tile(x!, [1, 4, 1]),
      same: tf.tile(x!, [1, 1, 1]),
      broadcast: tf.broadcastTo(x!, [5, 2, 4, 3]),
      scalar: tf.broadcastTo(s!, [2, 2]),
      used: tf.add(tf.broadcastTo(x!, [2, 4, 3]), tf.ones([2, 4, 3])),
    }),
    EXACT,
  );
});

test('pad equals tfjs', async () => {
  await assertSameOnBothBackends(
    { x: { shape: [2, 3] }, n: { shape: [2], dtype: 'int32' } },
    ({ x, n }) => ({
      padded: tf.pad(
        x!,
        [
          [1, 2],
          [0, 1],
        ],
        -1.5,
      ),
      unpadded: tf.pad(x!, [
        [0, 0],
        [0, 0],
      ]),
      int: tf.pad(n!, [[2, 1]], 7),
    }),
    EXACT,
  );
});

test('constants made inside the step equal tfjs', async () => {
  await assertSameOnBothBackends(
    { x: { shape: [3] } },
    ({ x }) => ({
      fill: tf.add(x!, tf.fill([3], 2.5)),
      large: tf.mul(tf.fill([300, 300], 0.5), tf.sum(x!)),
      range: tf.mul(x!, tf.range(1, 7, 2)),
      ones: tf.ones([2, 2]),
      zeros: tf.zeros([3], 'int32'),
      table: tf.mul(x!, tf.tensor1d([1, -2, 3])),
      folded: tf.add(x!, tf.exp(tf.reshape(tf.tensor2d([[0, 1, 2]]), [3]))),
    }),
    1e-6,
  );
});
