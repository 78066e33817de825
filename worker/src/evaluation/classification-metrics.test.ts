// Figures against cases worked by hand.
import assert from 'node:assert/strict';
import test from 'node:test';
import { addCounts, countImage, emptyCounts, figuresOf } from './classification-metrics.js';

function count(labels: number[], scores: number[][], numClasses: number) {
  const counts = emptyCounts(numClasses);
  labels.forEach((label, i) => {
    countImage(counts, Float32Array.from(scores[i]), label);
  });
  return counts;
}

const labels = [0, 0, 0, 1, 2, 2];
const scores = [
  [0.9, 0.1, 0, 0, 0, 0],
  [0.2, 0.8, 0, 0, 0, 0],
  [0.5, 0.5, 0, 0, 0, 0], // a tie goes to the lower index, so this is right
  [0.5, 0.5, 0, 0, 0, 0], // and this is wrong
  [0, 0, 1, 0, 0, 0],
  [9, 8, 0, 7, 6, 5], // class 2 comes last of six
];

test('accuracy counts images, mean recall counts classes', () => {
  const figures = figuresOf(count(labels, scores, 6));
  assert.equal(figures.acc1, (100 * 3) / 6);
  assert.equal(figures.acc5, (100 * 5) / 6);
  assert.ok(Math.abs(figures.meanRecall - (100 * (2 / 3 + 0 + 1 / 2)) / 3) < 1e-9);
  assert.ok(Math.abs(figures.chance - 100 / 3) < 1e-9);
  assert.equal(figures.largestClass, 50);
});

test('any split of the images over ranks gives the same figures', () => {
  const whole = figuresOf(count(labels, scores, 6));
  for (const cut of [1, 2, 5]) {
    const parts = [
      count(labels.slice(0, cut), scores.slice(0, cut), 6),
      count(labels.slice(cut), scores.slice(cut), 6),
    ];
    assert.deepEqual(figuresOf(addCounts(parts)), whole);
  }
});
