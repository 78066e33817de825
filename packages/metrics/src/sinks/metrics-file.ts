// `<run>/metrics.jsonl`: every record of the run, in order of steps, without overlaps between attempts.
import path from 'node:path';
import type { StepRecord } from '../step-record.js';
import { type JsonLine, JsonLinesFile } from './json-lines.js';
import type { MetricSink } from './metric-sink.js';

export const METRICS_FILE = 'metrics.jsonl';

/** @returns also the step records that stayed from earlier attempts, oldest first, and the last step that ended an epoch */
export async function openMetricsFile(
  runDir: string,
  startStep: number,
  now: () => number,
): Promise<{ sink: MetricSink; earlierSteps: StepRecord[]; lastEpochEnd: number }> {
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
  return { sink, earlierSteps: kept.filter(isStepRecord), lastEpochEnd: Math.max(0, ...epochEnds) };
}

export function isStepRecord(line: JsonLine): line is JsonLine & StepRecord {
  return line.kind === 'step' && typeof line.step === 'number' && typeof line.epoch === 'number';
}
