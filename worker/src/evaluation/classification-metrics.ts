// Figures of a classification from counts and scores; pure, so that any split over ranks gives the same numbers.
import type { Metric } from '@slip/data';

/** What one rank counted; counts of several ranks are added. */
export interface ClassCounts {
  /** Images seen per class. */
  readonly total: number[];
  /** Of these, classified rightly. */
  readonly correct: number[];
  /** Of all images, those whose class is among the five highest scores. */
  topFive: number;
}

export interface ClassificationFigures {
  /** Percent of all images. */
  readonly acc1: number;
  readonly acc5: number;
  /** Percent, mean of the recall of every class that has images. */
  readonly meanRecall: number;
  /** Percent reached by guessing: 100 / classes that have images. */
  readonly chance: number;
  /** Percent of the images that belong to the largest class. */
  readonly largestClass: number;
  readonly images: number;
  readonly classes: number;
}

export function emptyCounts(numClasses: number): ClassCounts {
  return { total: new Array<number>(numClasses).fill(0), correct: new Array<number>(numClasses).fill(0), topFive: 0 };
}

/** Adds one image: `scores` over all classes, ties won by the lower index. */
export function countImage(counts: ClassCounts, scores: Float32Array, label: number): void {
  counts.total[label] += 1;
  let better = 0;
  for (let k = 0; k < scores.length; k++) {
    if (scores[k] > scores[label] || (scores[k] === scores[label] && k < label)) better += 1;
  }
  if (better === 0) counts.correct[label] += 1;
  if (better < 5) counts.topFive += 1;
}

export function addCounts(parts: readonly ClassCounts[]): ClassCounts {
  const sum = emptyCounts(parts[0].total.length);
  for (const part of parts) {
    for (let k = 0; k < sum.total.length; k++) {
      sum.total[k] += part.total[k];
      sum.correct[k] += part.correct[k];
    }
    sum.topFive += part.topFive;
  }
  return sum;
}

export function figuresOf(counts: ClassCounts): ClassificationFigures {
  const images = counts.total.reduce((a, b) => a + b, 0);
  const correct = counts.correct.reduce((a, b) => a + b, 0);
  const seen = counts.total.flatMap((total, k) => (total > 0 ? [counts.correct[k] / total] : []));
  return {
    acc1: (100 * correct) / images,
    acc5: (100 * counts.topFive) / images,
    meanRecall: (100 * seen.reduce((a, b) => a + b, 0)) / seen.length,
    chance: 100 / seen.length,
    largestClass: (100 * Math.max(...counts.total)) / images,
    images,
    classes: seen.length,
  };
}

/**
 * Area under the ROC curve, percent: how often a positive picture has a higher score than a negative one, ties counting half.
 * @param scores higher for label 1
 * @param labels 0 or 1 for each
 * @returns NaN where one of the two labels does not occur
 */
export function rocAuc(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  const order = Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => scores[a] - scores[b]);
  let positives = 0;
  let rankSum = 0;
  for (let begin = 0; begin < order.length; ) {
    let end = begin;
    while (end < order.length && scores[order[end]] === scores[order[begin]]) end += 1;
    // Ranks from 1; those of equal scores are averaged.
    const rank = (begin + 1 + end) / 2;
    for (let i = begin; i < end; i++) {
      if (labels[order[i]] !== 1) continue;
      positives += 1;
      rankSum += rank;
    }
    begin = end;
  }
  const negatives = order.length - positives;
  return (100 * (rankSum - (positives * (positives + 1)) / 2)) / (positives * negatives);
}

/** What a set is judged by (reference 6.2), percent. @param auc of a set with two classes */
export function figureOf(metric: Metric, figures: ClassificationFigures, auc: number | undefined): number {
  switch (metric) {
    case 'accuracy':
      return figures.acc1;
    case 'mean-per-class':
      return figures.meanRecall;
    case 'top1-top5-mean':
      return (figures.acc1 + figures.acc5) / 2;
    case 'roc-auc':
      return auc ?? Number.NaN;
    default:
      return metric satisfies never;
  }
}
