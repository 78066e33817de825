// What counts as falling behind the stored ratios.
import assert from 'node:assert/strict';
import test from 'node:test';
import { compareWithBaseline, keyOf, updateBaseline } from './baseline.js';
import type { CaseResult } from './harness.js';
import { summarise } from './statistics.js';

function result(name: string, ratio: number | undefined): CaseResult {
  const measure = { key: 'timeMs', unit: 'ms', higherIsBetter: false };
  const ours = summarise([1]);
  return { bench: 'b', name, measure, ours, peer: 'PyTorch', theirs: summarise([ratio ?? 1]), ratio };
}

const baseline = updateBaseline({ ratios: {} }, [result('small', 2), result('large', 1.5)], {
  date: '2026-01-01',
  machine: 'm',
});

test('a ratio may lose 15 percent, not more; what nobody measured before is new', () => {
  const verdicts = (ratio: number) =>
    compareWithBaseline([result('small', ratio)], baseline).map((line) => line.verdict);
  assert.deepEqual(verdicts(2), ['same']);
  assert.deepEqual(verdicts(1.71), ['same']);
  assert.deepEqual(verdicts(1.69), ['behind']);
  assert.deepEqual(verdicts(2.4), ['ahead']);
  const [line] = compareWithBaseline([result('other', 1)], baseline);
  assert.deepEqual([line.verdict, line.was], ['new', undefined]);
});

test('a missing peer gives no ratio, which is neither compared nor stored', () => {
  assert.deepEqual(compareWithBaseline([result('small', undefined)], baseline), []);
  const today = { date: '2026-02-02', machine: 'm' };
  assert.deepEqual(updateBaseline(baseline, [result('small', undefined)], today), baseline);
});

test('today replaces what was stored of the same case, and nothing else', () => {
  const updated = updateBaseline(baseline, [result('small', 3)], { date: '2026-02-02', machine: 'm' });
  assert.equal(updated.ratios[keyOf(result('small', 3))].ratio, 3);
  assert.equal(updated.ratios[keyOf(result('large', 3))].date, '2026-01-01');
});
