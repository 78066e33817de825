// Rounds within a budget.
import assert from 'node:assert/strict';
import test from 'node:test';
import { nextCase, type Progress } from './schedule.js';

/** Plays cases of known lengths to the end. */
function play(lengths: readonly number[], wanted: number, budget: number): { order: number[]; spent: number } {
  const cases: { -readonly [K in keyof Progress]: Progress[K] }[] = lengths.map(() => ({
    done: 0,
    wanted,
    roundMs: undefined,
  }));
  const order: number[] = [];
  let spent = 0;
  for (let i = nextCase(cases, budget); i !== undefined; i = nextCase(cases, budget - spent)) {
    order.push(i);
    spent += lengths[i];
    cases[i].done += 1;
    cases[i].roundMs = lengths[i];
  }
  return { order, spent };
}

test('rounds go around: every case once before any twice', () => {
  assert.deepEqual(play([1, 1, 1], 2, 100).order, [0, 1, 2, 0, 1, 2]);
});

test('a round that does not fit any more is left out, shorter ones are not', () => {
  assert.deepEqual(play([10, 1], 3, 14), { order: [0, 1, 1, 1], spent: 13 });
});

test('nothing is begun after the budget, not even for the first time', () => {
  assert.deepEqual(play([5, 5, 5], 1, 8).order, [0, 1]);
});
