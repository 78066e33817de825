// `<run>/metrics.jsonl`: every record of the run, in order of steps, without overlaps between attempts.
import path from 'node:path';
import type { EarlierAttempts } from '../run-metrics.js';
import type { StepRecord } from '../step-record.js';
import { type JsonLine, JsonLinesFile } from './json-lines.js';
import type { MetricSink } from './metric-sink.js';

export const METRICS_FILE = 'metrics.jsonl';

/** @returns also the step records that stayed from earlier attempts, oldest first, and what else is known of those */
export async function openMetricsFile(
  runDir: string,
  startStep: number,
  now: () => number,
): Promise<{ sink: MetricSink; earlierSteps: StepRecord[]; earlier: EarlierAttempts }> {
  const { log, kept } = await JsonLinesFile.open(
    path.join(runDir, METRICS_FILE),
    ({ step }) => typeof step === 'number' && step <= startStep,
  );
  const earlierEpochs = new Set(kept.filter(({ kind }) => kind === 'epoch').map(({ step }) => step));
  const sink: MetricSink = {
    name: METRICS_FILE,
    step: (record) => log.append({ kind: 'step', ...record, time: now() / 1000 }),
    async epoch(line, step) {
      // An attempt stopped right after an epoch may end that epoch again.
      if (earlierEpochs.delete(step)) await log.drop((earlier) => earlier.kind === 'epoch' && earlier.step === step);
      log.append({ kind: 'epoch', step, ...line, time: now() / 1000 });
    },
    evaluation: (record) => log.append({ kind: 'eval', ...record, time: now() / 1000 }),
    checkpoint: (record) => log.append({ kind: 'checkpoint', ...record, time: now() / 1000 }),
    close: () => log.close(),
  };
  const epochEnds = [...earlierEpochs].map(Number);
  const accuracies = kept.filter(({ kind }) => kind === 'eval').map(({ acc1 }) => Number(acc1 ?? 0));
  const earlier = { lastEpochEnd: Math.max(0, ...epochEnds), bestAcc1: Math.max(0, ...accuracies) };
  return { sink, earlierSteps: kept.filter(isStepRecord), earlier };
}

export function isStepRecord(line: JsonLine): line is JsonLine & StepRecord {
  return line.kind === 'step' && typeof line.step === 'number' && typeof line.epoch === 'number';
}
