// The fuzzing of hostile.test.ts, longer and with other seeds: no crash, no hang, no memory beyond bounds.
import assert from 'node:assert/strict';
import test from 'node:test';
import { fuzzSets } from '../testing/fuzz-sets.js';

for (const seed of [2, 3, 4, 5]) {
  test(`200 changed files of every form, seed ${seed}`, async (context) => {
    const { cases, refused, slowestMs, peakMemory } = await fuzzSets(seed, 200);
    context.diagnostic(
      `${cases} cases, ${refused} refused, slowest ${slowestMs.toFixed(0)} ms, peak ${peakMemory.toFixed(0)} MiB`,
    );
    assert.ok(slowestMs < 60_000, `${slowestMs} ms`);
    assert.ok(peakMemory < 1024, `${peakMemory} MiB`);
  });
}
