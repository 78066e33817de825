// From the lines of metrics.jsonl to the charts of the report: which curves, how smooth, how many points. Pure.

import type { JsonLine } from '../sinks/json-lines.js';
import { isStepRecord } from '../sinks/metrics-file.js';
import type { ChartSeries, ChartSpec, Point } from './svg-chart.js';

/** More points than pixels only make the page heavy. */
const MAX_POINTS = 400;
/** Fewer steps than this are shown as they are. */
const MIN_TO_SMOOTH = 20;
/** Curves without noise. */
const EXACT = new Set(['lr', 'logit_scale']);
/** Distinguishable with the common colour deficiencies. */
const COLORS = ['#2f6fb5', '#d9722e', '#3a9a6b', '#8a5fb0'];

/** Charts that have data, in reading order. */
export function chartsOf(lines: readonly JsonLine[]): ChartSpec[] {
  const steps = lines.filter(isStepRecord);
  const evaluations = lines.filter(({ kind }) => kind === 'eval');
  const training = (
    title: string,
    yLabel: string,
    names: Record<string, string>,
    options: Partial<ChartSpec> = {},
  ): ChartSpec => ({
    title,
    xLabel: 'optimizer step',
    yLabel,
    series: seriesOf(steps, names),
    ...options,
  });
  const chance = evaluations.at(-1)?.chance;
  // Classifiers have an accuracy of their own on the training views; others are validated without having seen the classes.
  const isClassifier = steps.some(({ acc1 }) => acc1 !== undefined);
  const charts: ChartSpec[] = [
    training('Training loss', 'loss', lossCurves(steps)),
    {
      ...training(isClassifier ? 'Validation accuracy' : 'Zero-shot accuracy', 'percent', {}),
      series: evaluationSeries(evaluations, {
        ...{ acc1: 'top-1', acc5: 'top-5', meanRecall: 'mean recall' },
        ema_acc1: 'top-1, averaged weights',
      }),
      guides: typeof chance === 'number' ? [{ y: chance, label: `chance ${chance.toFixed(1)} %` }] : [],
      yFrom: 0,
      dots: true,
    },
    training('Training accuracy', 'percent', { acc1: 'top-1', acc5: 'top-5' }, { yFrom: 0 }),
    training(
      'Matching accuracy in the batch',
      'percent',
      { clip_acc: 'image-text', ssl_acc: 'two views' },
      { yFrom: 0 },
    ),
    training('Learning rate', 'learning rate', { lr: 'lr' }, { yFrom: 0 }),
    training('Throughput', 'images per second', { imagesPerSecond: 'images/s' }, { yFrom: 0 }),
    training('Logit scale', 'scale', { logit_scale: 'logit scale' }),
  ];
  return charts.filter(({ series }) => series.length > 0);
}

/** The total says nothing new where it has a single part. */
function lossCurves(steps: readonly JsonLine[]): Record<string, string> {
  const both = steps.some((step) => 'clip_loss' in step) && steps.some((step) => 'ssl_loss' in step);
  return both ? { loss: 'total', clip_loss: 'CLIP', ssl_loss: 'SSL' } : { loss: 'loss' };
}

function seriesOf(steps: readonly JsonLine[], names: Record<string, string>): ChartSeries[] {
  return Object.entries(names).flatMap(([key, name], i) => {
    const points = pointsOf(steps, key);
    // The logit scale of SimCLR is a constant 0.
    if (points.length === 0 || points.every(([, y]) => y === 0)) return [];
    const color = COLORS[i % COLORS.length];
    if (EXACT.has(key) || points.length < MIN_TO_SMOOTH) return [{ name, color, points: thinned(points) }];
    return [{ name, color, points: thinned(smoothed(points)), raw: thinned(points) }];
  });
}

function evaluationSeries(evaluations: readonly JsonLine[], names: Record<string, string>): ChartSeries[] {
  return Object.entries(names).flatMap(([key, name], i) => {
    const points = pointsOf(evaluations, key);
    return points.length === 0 ? [] : [{ name, color: COLORS[i % COLORS.length], points }];
  });
}

function pointsOf(lines: readonly JsonLine[], key: string): Point[] {
  return lines.flatMap((line) => {
    const [x, y] = [line.step, line[key]];
    return typeof x === 'number' && typeof y === 'number' ? [[x, y] as const] : [];
  });
}

/** A mean over about a thirtieth of the run around each point; narrower at the ends, so that no value lags behind. */
export function smoothed(points: readonly Point[]): Point[] {
  const sums = [0];
  for (const [, y] of points) sums.push(sums[sums.length - 1] + y);
  const widest = Math.max(1, Math.round(points.length / 60));
  return points.map(([x], i) => {
    const reach = Math.min(widest, i, points.length - 1 - i);
    return [x, (sums[i + reach + 1] - sums[i - reach]) / (2 * reach + 1)];
  });
}

/** Every n-th point, the last one always. */
export function thinned(points: readonly Point[]): Point[] {
  const stride = Math.ceil(points.length / MAX_POINTS);
  return points.filter((_, i) => (points.length - 1 - i) % stride === 0);
}
