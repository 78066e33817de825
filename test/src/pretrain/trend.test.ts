// What the soak concludes from its measurements.
import assert from 'node:assert/strict';
import test from 'node:test';
import { RandomStream } from '@slip/core';
import { trendOf } from './trend.js';

const random = new RandomStream('trend', 0);
const noise = (amplitude: number) => amplitude * (2 * random.uniform() - 1);

test('an exact line has its slope, and no error', () => {
  const { slope, error, rise } = trendOf(
    Array.from({ length: 1000 }, (_, i) => 5 + 0.25 * i),
    10,
  );
  assert.ok(Math.abs(slope - 0.25) < 1e-12 && error < 1e-12);
  assert.ok(Math.abs(rise - 0.25 * 999) < 1e-9);
});

test('a small leak is found below much larger noise, and noise alone is no leak', () => {
  const leak = trendOf(
    Array.from({ length: 10_000 }, (_, i) => 300 + 0.002 * i + noise(10)),
    40,
  );
  assert.ok(leak.rise - 3 * leak.riseError > 10, `${leak.rise} +- ${leak.riseError}`);
  const flat = trendOf(
    Array.from({ length: 10_000 }, () => 300 + noise(10)),
    40,
  );
  assert.ok(Math.abs(flat.rise) < 4 * flat.riseError, `${flat.rise} +- ${flat.riseError}`);
});

test('minima of blocks are not moved by what disturbs most steps', () => {
  const disturbed = Array.from({ length: 5000 }, (_, i) => 10 + (i > 2500 && i % 20 !== 0 ? 30 : 0));
  assert.equal(trendOf(disturbed, 20, (block) => Math.min(...block)).rise, 0);
});
