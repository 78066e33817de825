// The figures every claim rests on.
import assert from 'node:assert/strict';
import test from 'node:test';
import { advantage, summarise } from './statistics.js';

test('median of odd and even counts, with the spread', () => {
  assert.deepEqual(summarise([3, 1, 2]), { median: 2, min: 1, max: 3, rounds: 3 });
  assert.equal(summarise([4, 1, 2, 3]).median, 2.5);
});

test('advantage is above 1 when ours is ahead, whatever the direction of the measure', () => {
  const two = summarise([2]);
  const four = summarise([4]);
  assert.equal(advantage(four, two, true), 2);
  assert.equal(advantage(two, four, false), 2);
});
