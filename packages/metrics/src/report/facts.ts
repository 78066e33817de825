// The table of facts beside the curves, and the large figures above them: from the metrics, the validation and what the
// caller knows. Pure.

import { duration } from '../progress-text.js';
import type { JsonLine } from '../sinks/json-lines.js';
import { isStepRecord } from '../sinks/metrics-file.js';
import { hiddenShare, type StepRecord } from '../step-record.js';
import type { EvaluationFacts } from './report-options.js';

export interface Fact {
  readonly name: string;
  readonly value: string;
}

/** What the run itself tells; `known` (model, parameters, ...) stands first. */
export function factsOf(
  lines: readonly JsonLine[],
  evaluation: EvaluationFacts | undefined,
  known: Readonly<Record<string, string | number>>,
): Fact[] {
  const facts: Fact[] = Object.entries(known).map(([name, value]) => ({
    name,
    value: typeof value === 'number' ? value.toLocaleString('en-US') : value,
  }));
  return [...facts, ...trainingFacts(lines.filter(isStepRecord)), ...evaluationFacts(evaluation)];
}

function trainingFacts(steps: readonly StepRecord[]): Fact[] {
  const last = steps.at(-1);
  if (last === undefined) return [];
  const total = (key: 'stepMs' | 'dataWaitMs' | 'commMs') => steps.reduce((sum, step) => sum + step[key], 0);
  // Runs of earlier versions hid nothing.
  const exposed = steps.reduce((sum, step) => sum + (step.commExposedMs ?? step.commMs), 0);
  const share = (ms: number) => `${((100 * ms) / Math.max(1, total('stepMs'))).toFixed(1)} %`;
  const speeds = steps.map(({ imagesPerSecond }) => imagesPerSecond).sort((a, b) => a - b);
  return [
    { name: 'steps', value: last.step.toLocaleString('en-US') },
    { name: 'epochs begun', value: String(last.epoch + 1) },
    { name: 'time in steps', value: duration(total('stepMs') / 1000) },
    { name: 'loss, first to last step', value: `${steps[0].loss.toFixed(3)} to ${last.loss.toFixed(3)}` },
    { name: 'images per second, median', value: speeds[Math.floor(speeds.length / 2)].toFixed(1) },
    { name: 'waiting for data', value: share(total('dataWaitMs')) },
    { name: 'waiting for collectives', value: share(exposed) },
    { name: 'communication hidden', value: `${(100 * hiddenShare(total('commMs'), exposed)).toFixed(0)} %` },
    {
      name: 'memory of rank 0, highest',
      value: `${(Math.max(...steps.slice(-1000).map(({ memoryBytes }) => memoryBytes)) / 1e9).toFixed(2)} GB`,
    },
  ];
}

function evaluationFacts(evaluation: EvaluationFacts | undefined): Fact[] {
  if (evaluation === undefined) return [];
  const { dataset, step, images, classes, acc1, acc5, meanRecall, chance, largestClass } = evaluation;
  const facts: [string, string | undefined][] = [
    ['zero-shot set', dataset],
    ['validated at step', step?.toLocaleString('en-US')],
    [
      'images, classes',
      images === undefined || classes === undefined ? undefined : `${images.toLocaleString('en-US')}, ${classes}`,
    ],
    ['zero-shot top-1', percent(acc1)],
    ['zero-shot top-5', percent(acc5)],
    ['mean per-class recall', percent(meanRecall)],
    ['chance', percent(chance)],
    ['share of the largest class', percent(largestClass)],
  ];
  return facts.flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
}

/** The few numbers a reader looks for first. */
export function headlineOf(
  lines: readonly JsonLine[],
  evaluation: EvaluationFacts | undefined,
): (Fact & { note: string })[] {
  const steps = lines.filter(isStepRecord);
  const last = steps.at(-1);
  const headline: (Fact & { note: string })[] = [];
  if (evaluation?.meanRecall !== undefined) {
    const times = evaluation.chance
      ? `${(evaluation.meanRecall / evaluation.chance).toFixed(1)} x chance (${percent(evaluation.chance)})`
      : '';
    headline.push({ name: 'mean per-class recall', value: percent(evaluation.meanRecall)!, note: times });
  }
  if (evaluation?.acc1 !== undefined) {
    const largest =
      evaluation.largestClass === undefined ? '' : `largest class alone: ${percent(evaluation.largestClass)}`;
    headline.push({ name: 'zero-shot top-1', value: percent(evaluation.acc1)!, note: largest });
  }
  if (last !== undefined) {
    const seconds = steps.reduce((sum, { stepMs }) => sum + stepMs, 0) / 1000;
    headline.push({ name: 'loss', value: last.loss.toFixed(3), note: `${steps[0].loss.toFixed(3)} at the first step` });
    headline.push({ name: 'steps', value: last.step.toLocaleString('en-US'), note: `in ${duration(seconds)}` });
  }
  return headline;
}

export function percent(value: number | undefined): string | undefined {
  return value === undefined ? undefined : `${value.toFixed(1)} %`;
}
