// When a save is due, and what one has cost.
import assert from 'node:assert/strict';
import test from 'node:test';
import { isSaveDue, SaveCost } from './save-cadence.js';

test('by the clock, by cost, by neither', () => {
  const none = { everyMinutes: 0, overheadPercent: 0 };
  assert.equal(isSaveDue(none, 1e9, 1), false);
  const clock = { everyMinutes: 2, overheadPercent: 0 };
  assert.deepEqual([isSaveDue(clock, 119_999, undefined), isSaveDue(clock, 120_000, undefined)], [false, true]);
  const cost = { everyMinutes: 0, overheadPercent: 2 };
  assert.deepEqual(
    [isSaveDue(cost, 59_999, undefined), isSaveDue(cost, 60_000, undefined)],
    [false, true],
    'the first',
  );
  assert.deepEqual([isSaveDue(cost, 49_999, 1000), isSaveDue(cost, 50_000, 1000)], [false, true], '1 s in 50 is 2 %');
});

test('a save costs what it stalls and what it slows down', () => {
  const cost = new SaveCost();
  for (let i = 0; i < 100; i++) cost.noteStep(10, false);
  cost.noteStall(5);
  cost.noteStep(14, true);
  cost.noteStep(9, true);
  cost.noteStall(1);
  assert.deepEqual(cost.take(), { stallMs: 6, costMs: 10 });
  assert.deepEqual(cost.take(), { stallMs: 0, costMs: 0 });
});
