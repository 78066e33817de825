// Random streams: a fill draws what single calls draw, and leaves the stream where they leave it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { RandomStream } from './random.js';

test('a fill gives the numbers of single calls, whatever was drawn before and will be after', () => {
  for (const [before, length] of [
    [0, 0],
    [0, 1],
    [1, 7],
    [1, 3000],
    [2, 100_001],
  ] as const) {
    const single = new RandomStream(3, 'fill');
    const filled = new RandomStream(3, 'fill');
    for (let i = 0; i < before; i++) assert.equal(filled.normal(), single.normal());
    const target = new Float32Array(length);
    filled.fillNormal(target, 0.5, 0.02);
    assert.deepEqual(
      target,
      Float32Array.from(target, () => single.normal(0.5, 0.02)),
    );
    assert.equal(filled.normal(), single.normal());
    assert.equal(filled.nextUint32(), single.nextUint32());
  }
});

test('a fill with a limit draws again what is beyond it', () => {
  const single = new RandomStream('limit');
  const filled = new RandomStream('limit');
  const target = new Float32Array(5000);
  filled.fillNormal(target, 0, 1, 1.5);
  const drawn = Float32Array.from(target, () => {
    for (;;) {
      const value = single.normal();
      if (Math.abs(value) <= 1.5) return value;
    }
  });
  assert.deepEqual(target, drawn);
  assert.equal(filled.nextUint32(), single.nextUint32());
});

test('a permutation is the shuffle of single draws', () => {
  for (const n of [0, 1, 2, 2049, 65_535, 65_536, 65_537, 200_000]) {
    const [single, drawn] = [new RandomStream('order', n), new RandomStream('order', n)];
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = single.integer(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    assert.deepEqual(drawn.permutation(n), order);
    assert.equal(drawn.nextUint32(), single.nextUint32());
  }
});
