// The vector kernels against plain arithmetic, bit for bit, and against their own source.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { loadNative } from '../shared/native.js';
import { kernelSources } from './compile-kernels.js';
import { placeOf, show } from './kernel-memory.js';
import { combineTree, copyBytes, type Digest, digestOf, fromHalf, takeFloats, takeHalves, toHalf } from './kernels.js';

test('the binary is what the source compiles to', async () => {
  const { found, made } = await kernelSources.compare('kernels');
  assert.equal(found, made, 'run npm run kernels -w @slip/comms');
});

function plainTree(values: number[], combine: (a: number, b: number) => number): number {
  const level = [...values];
  for (let gap = 1; gap < level.length; gap *= 2) {
    for (let i = 0; i + gap < level.length; i += 2 * gap) level[i] = combine(level[i], level[i + gap]);
  }
  return level[0];
}

const floats = (length: number) =>
  fc.float32Array({ minLength: length, maxLength: length, noNaN: true, min: -(2 ** 100), max: 2 ** 100 });

for (const [op, combine] of [
  ['sum', (a: number, b: number) => Math.fround(a + b)],
  ['max', (a: number, b: number) => Math.max(a, b)],
] as const) {
  test(`${op} of any number of inputs at any length is the plain ${op} in the stated order`, () => {
    const lengths = fc.oneof(fc.integer({ min: 0, max: 70 }), fc.constantFrom(4095, 4096, 4097, 9001));
    const cases = fc
      .tuple(fc.integer({ min: 1, max: 9 }), lengths)
      .chain(([count, length]) => fc.array(floats(length), { minLength: count, maxLength: count }));
    fc.assert(
      fc.property(cases, (inputs) => {
        const expected = Float32Array.from(inputs[0], (_, i) =>
          plainTree(
            inputs.map((input) => input[i]),
            combine,
          ),
        );
        const outputs = [new Float32Array(expected.length), inputs[0]];
        combineTree(op, inputs, outputs);
        for (const output of outputs) assert.deepEqual(output, expected);
      }),
      { numRuns: 60 },
    );
  });
}

test('the sum of aligned halves is a part of the sum of the whole', () => {
  const inputs = Array.from({ length: 8 }, (_, r) => Float32Array.of(Math.fround(0.1 * 7 ** r), 1 / (r + 3)));
  const [whole, low, high] = Array.from({ length: 3 }, () => new Float32Array(2));
  combineTree('sum', inputs, [whole]);
  combineTree('sum', inputs.slice(0, 4), [low]);
  combineTree('sum', inputs.slice(4), [high]);
  combineTree('sum', [low, high], [low]);
  assert.deepEqual(low, whole);
});

test('bfloat16 rounds to the nearest, ties to even', () => {
  const bits = Uint32Array.of(0x3f800000, 0x3f808000, 0x3f818000, 0x3f808001, 0xff800000, 0x7fc00001, 0x7f800001, 0);
  const wire = new Uint16Array(8);
  toHalf('bfloat16', new Float32Array(bits.buffer), wire);
  assert.deepEqual([...wire], [0x3f80, 0x3f80, 0x3f82, 0x3f81, 0xff80, 0x7fc0, 0x7fc0, 0]);
  const back = new Float32Array(8);
  fromHalf('bfloat16', wire, back);
  assert.deepEqual([...back.subarray(0, 5)], [1, 1, 1.015625, 1.0078125, Number.NEGATIVE_INFINITY]);
  assert.ok(Number.isNaN(back[5]) && Number.isNaN(back[6]));
});

test('every float16 comes back as itself', () => {
  const wire = Uint16Array.from({ length: 65_536 }, (_, i) => i);
  const [values, again] = [new Float32Array(65_536), new Uint16Array(65_536)];
  fromHalf('float16', wire, values);
  toHalf('float16', values, again);
  for (let i = 0; i < wire.length; i++) {
    const isNaN16 = (i & 0x7c00) === 0x7c00 && (i & 0x3ff) !== 0;
    if (isNaN16) assert.ok(Number.isNaN(values[i]));
    else assert.equal(again[i], i);
  }
  assert.deepEqual([values[0x3c00], values[1], values[0xfbff]], [1, 2 ** -24, -65_504]);
});

test('float16 rounds to the nearest, ties to even, for any float', () => {
  const [wire, nearest] = [new Uint16Array(1), new Float32Array(3)];
  fc.assert(
    fc.property(fc.float({ noNaN: true, min: -65_504, max: 65_504 }), (value) => {
      toHalf('float16', Float32Array.of(value), wire);
      // The neighbours of the result are not nearer; where one is as near, the result is the even one.
      const magnitude = wire[0] & 0x7fff;
      fromHalf(
        'float16',
        Uint16Array.of(
          wire[0],
          magnitude > 0 ? wire[0] - 1 : wire[0],
          Math.min(0x7bff, magnitude + 1) | (wire[0] & 0x8000),
        ),
        nearest,
      );
      const [own, below, above] = [...nearest].map((near) => Math.abs(near - value));
      assert.ok(own <= below && own <= above, `${value}`);
      if ((own === below && magnitude > 0) || (own === above && magnitude < 0x7bff))
        assert.equal(wire[0] & 1, 0, `${value}`);
    }),
    { numRuns: 2000 },
  );
  toHalf('float16', Float32Array.of(65_520), wire);
  assert.equal(wire[0], 0x7c00);
});

test('a digest notices every single bit, exchanged words and lost ends', () => {
  const bytes = Uint8Array.from({ length: 20_000 }, (_, i) => (i * 131) ^ (i >> 3));
  const original = Buffer.from(digestOf(bytes));
  const isNew = (changed: Uint8Array) => !original.equals(digestOf(changed));
  for (let bit = 0; bit < 8 * bytes.length; bit += 37) {
    const changed = bytes.slice();
    changed[bit >> 3] ^= 1 << (bit & 7);
    assert.ok(isNew(changed), `bit ${bit}`);
  }
  const exchanged = bytes.slice();
  exchanged.copyWithin(0, 16, 32);
  exchanged.set(bytes.subarray(0, 16), 16);
  assert.ok(isNew(exchanged), 'neighbouring words');
  assert.ok(isNew(bytes.subarray(0, 19_999)));
});

/** Mapped memory that kernels see; undefined where it cannot be had. */
function seenArray(length: number): Float32Array | undefined {
  const native = loadNative();
  if ('missing' in native) return undefined;
  const array = new Float32Array(native.mapOwn(4 * length), 0, length);
  show(array);
  return array;
}

test('what kernels see is worked on where it is, from any place in it', (t) => {
  const arena = seenArray(200_000);
  if (arena === undefined) return t.skip('memory cannot be mapped here');
  assert.equal(typeof placeOf(arena.subarray(5)), 'number');
  assert.equal(placeOf(new Float32Array(4)), undefined);
  for (const [start, length] of [
    [0, 40_000],
    [3, 16_384],
    [1, 70_001],
    [7, 2],
  ]) {
    const values = Float32Array.from({ length }, (_, i) => Math.fround(Math.sin(i) * 100));
    const own = Float32Array.from({ length }, (_, i) => Math.fround(Math.cos(3 * i)));
    const bytes = new Uint8Array(values.buffer);
    const target = arena.subarray(start, start + length);
    for (const taking of ['sum', 'max', 'copy'] as const) {
      const expected = new Float32Array(length);
      const [plain, source] = [sourceOf(bytes), sourceOf(bytes)];
      const digest = takeFloats(plain, taking, own, expected);
      arena.fill(7);
      target.set(own);
      assert.deepEqual(takeFloats(source, taking, target, target), digest, `${taking} in place: of what it became`);
      assert.deepEqual(source.seen.digest, plain.seen.digest, `${taking} in place: of what came`);
      assert.deepEqual(target, expected, `${taking} in place`);
      assert.deepEqual(digestOf(new Uint8Array(arena.buffer, target.byteOffset, target.byteLength)), digest);
      assert.ok(arena.subarray(0, start).every((value) => value === 7) && arena[start + length] === 7, 'neighbours');
      takeFloats(sourceOf(bytes), taking, own, target);
      assert.deepEqual(target, expected, `${taking} into memory that is seen`);
      target.set(own);
      const elsewhere = new Float32Array(length);
      takeFloats(sourceOf(bytes), taking, target, elsewhere);
      assert.deepEqual(elsewhere, expected, `${taking} out of memory that is seen`);
    }
  }
  // More blocks make the memory grow; what is seen stays where it is.
  combineTree(
    'sum',
    Array.from({ length: 40 }, () => arena.subarray(0, 10)),
    [new Float32Array(10)],
  );
  assert.deepEqual(
    digestOf(new Uint8Array(arena.buffer, 0, 4096)),
    digestOf(new Uint8Array(arena.slice(0, 1024).buffer)),
  );
});

/** Bytes that remember with which digest they were checked. */
function sourceOf(bytes: Uint8Array) {
  const seen: { digest?: Digest } = {};
  return {
    seen,
    length: bytes.length,
    read: (at: number, into: Uint8Array) => into.set(bytes.subarray(at, at + into.length)),
    check(digest: Digest) {
      seen.digest = digest.slice();
    },
  };
}

for (const length of [1, 3, 4095, 16_384, 16_385, 70_001]) {
  test(`taking ${length} values combines them, and knows both digests`, () => {
    const values = Float32Array.from({ length }, (_, i) => Math.fround(Math.sin(i) * 100));
    const own = Float32Array.from({ length }, (_, i) => Math.fround(Math.cos(3 * i)));
    const bytes = new Uint8Array(values.buffer);
    for (const [taking, expected] of [
      ['sum', own.map((value, i) => Math.fround(value + values[i]))],
      ['max', own.map((value, i) => Math.max(value, values[i]))],
      ['copy', values],
    ] as const) {
      const source = sourceOf(bytes);
      const arena = new Float32Array(length + 2).fill(7);
      const target = arena.subarray(1, length + 1);
      const digest = takeFloats(source, taking, own, target);
      assert.deepEqual(target, expected, taking);
      assert.deepEqual([arena[0], arena.at(-1)], [7, 7], 'neighbours');
      assert.deepEqual(source.seen.digest, digestOf(bytes), `${taking}: of what came`);
      assert.deepEqual(digest, digestOf(new Uint8Array(expected.buffer)), `${taking}: of what it became`);
    }
    const copy = new Uint8Array(bytes.length);
    assert.deepEqual(copyBytes(sourceOf(bytes), copy), digestOf(bytes));
    assert.deepEqual(copy, bytes);
  });

  test(`taking ${length} halves widens them first`, () => {
    for (const type of ['bfloat16', 'float16'] as const) {
      const [wire, values] = [new Uint16Array(length), new Float32Array(length)];
      toHalf(
        type,
        values.map((_, i) => Math.sin(i)),
        wire,
      );
      fromHalf(type, wire, values);
      const bytes = new Uint8Array(wire.buffer);
      const own = values.map((_, i) => Math.fround(i / 7));
      const [sum, copy] = [new Float32Array(length), new Float32Array(length)];
      const source = sourceOf(bytes);
      takeHalves(type, source, 'sum', own, sum);
      takeHalves(type, sourceOf(bytes), 'copy', own, copy);
      assert.deepEqual(
        sum,
        own.map((value, i) => Math.fround(value + values[i])),
      );
      assert.deepEqual(copy, values);
      assert.deepEqual(source.seen.digest, digestOf(bytes));
    }
  });
}
