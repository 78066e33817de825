// What of a batch of texts reaches the step: all that can change a result, and no more than the longest text needs.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { StepExecutor } from '@slip/engine';
import { feedTexts, usedLength } from './feed-texts.js';

const END = 99;

/** A row of the context: start, words, end and what is behind it. */
const row = (length: number, context: number, words: number) =>
  Array.from({ length: context }, (_, i) => (i === length - 1 ? END : i < length ? 1 + ((i * words) % 90) : 0));

function recording(lengths?: readonly number[]) {
  const input = new Int32Array(2 * 20).fill(-1);
  const set: number[] = [];
  const executor = {
    input: () => input,
    ...(lengths === undefined ? {} : { lengths, setLength: (length: number) => set.push(length) }),
  } as unknown as StepExecutor;
  return { executor, input, set };
}

test('the end of a text is its largest id, the first of equals', () => {
  assert.equal(usedLength(Int32Array.from([...row(5, 20, 3), ...row(9, 20, 7)]), 20), 9);
  assert.equal(usedLength(Int32Array.from([1, 50, 3, 50, 2, 0]), 6), 2, 'where a long caption lost its end');
  assert.equal(usedLength(Int32Array.from(row(20, 20, 3)), 20), 20);
});

test('rows are cut to the shortest length that holds the longest text, and lie without gaps', () => {
  const { executor, input, set } = recording([8, 16, 20]);
  const [a, b] = [row(5, 20, 3), row(9, 20, 7)];
  feedTexts(executor, Int32Array.from([...a, ...b]));
  assert.deepEqual(set, [16]);
  assert.deepEqual([...input.subarray(0, 32)], [...a.slice(0, 16), ...b.slice(0, 16)]);
});

test('a step with one length gets whole rows', () => {
  const { executor, input } = recording();
  const rows = [...row(5, 20, 3), ...row(9, 20, 7)];
  feedTexts(executor, Int32Array.from(rows));
  assert.deepEqual([...input], rows);
});
