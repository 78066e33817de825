// Figures against cases worked by hand and scikit-learn's.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { addCounts, countImage, emptyCounts, figureOf, figuresOf, rocAuc } from './classification-metrics.js';

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

test('the area under the ROC curve, by hand', () => {
  assert.equal(rocAuc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]), 75);
  assert.equal(rocAuc([3, 2, 1], [0, 1, 1]), 0);
  assert.equal(rocAuc([1, 1, 1, 1], [0, 1, 1, 0]), 50, 'ties count half');
  assert.equal(rocAuc([0, 1, 1, 2], [0, 0, 1, 1]), 87.5);
  assert.ok(Number.isNaN(rocAuc([1, 2], [1, 1])));
});

test('each metric takes its figure', () => {
  const figures = figuresOf(count(labels, scores, 6));
  assert.equal(figureOf('accuracy', figures, undefined), 50);
  assert.equal(figureOf('mean-per-class', figures, undefined), figures.meanRecall);
  assert.equal(figureOf('top1-top5-mean', figures, undefined), (figures.acc1 + figures.acc5) / 2);
  assert.equal(figureOf('roc-auc', figures, 61), 61);
});

test("figures are scikit-learn's", () => {
  const { metrics } = JSON.parse(
    readFileSync(new URL('../../../test/golden/zeroshot.json', import.meta.url), 'utf8'),
  ) as {
    metrics: Record<'accuracy' | 'meanPerClass' | 'top5' | 'auc', number>[] &
      { labels: number[]; scores: number[][] }[];
  };
  for (const { labels: truth, scores: given, accuracy, meanPerClass, top5, auc } of metrics) {
    const figures = figuresOf(count(truth, given, given[0].length));
    assert.ok(Math.abs(figures.acc1 - accuracy) < 1e-9);
    assert.ok(Math.abs(figures.meanRecall - meanPerClass) < 1e-9);
    if (top5 !== undefined) assert.ok(Math.abs(figures.acc5 - top5) < 1e-9);
    if (auc === undefined) continue;
    const margins = given.map(([zero, one]) => one - zero);
    assert.ok(Math.abs(rocAuc(margins, truth) - auc) < 1e-9);
  }
});
