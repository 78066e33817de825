// The run's metrics as TensorBoard scalars: which record goes under which tag.
import path from 'node:path';
import type { MetricSink } from '../sinks/metric-sink.js';
import type { StepRecord } from '../step-record.js';
import { EventFile } from './event-file.js';

/** Fields that say where a record stands rather than how it went. */
const POSITION = new Set(['step', 'epoch', 'iteration']);
const SPEED_TAGS: Readonly<Record<string, string>> = {
  imagesPerSecond: 'speed/images_per_second',
  stepMs: 'speed/step_ms',
  dataWaitMs: 'speed/data_wait_ms',
  commMs: 'speed/communication_ms',
  commExposedMs: 'speed/communication_exposed_ms',
  memoryBytes: 'speed/memory_bytes',
};

const CHECKPOINT_TAGS: Readonly<Record<string, string>> = {
  bytes: 'checkpoint/bytes',
  stallMs: 'checkpoint/stall_ms',
  writeMs: 'checkpoint/write_ms',
};

export function openTensorboard(runDir: string, startStep: number, now: () => number): MetricSink {
  const events = EventFile.create(path.join(runDir, 'tensorboard'), startStep, now);
  return {
    name: 'TensorBoard',
    step: (record) => events.scalars(record.step, stepScalars(record)),
    epoch: (line, step) => events.scalars(step, tagged(line, epochTag)),
    evaluation: (record) =>
      events.scalars(
        record.step,
        tagged(record, (name) => `eval/${name}`),
      ),
    checkpoint: ({ step, ...cost }) =>
      events.scalars(
        step,
        tagged(cost, (name) => CHECKPOINT_TAGS[name]),
      ),
    close: () => events.close(),
  };
}

export function stepScalars(record: StepRecord): Record<string, number> {
  return tagged({ ...record }, (name) => SPEED_TAGS[name] ?? `train/${name}`);
}

/** `train_loss` and `test_acc1` of an epoch stand beside the other epochs', not among the steps. */
function epochTag(name: string): string {
  return `epoch/${name}`;
}

function tagged(values: Readonly<Record<string, number>>, tagOf: (name: string) => string): Record<string, number> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (POSITION.has(name) ? [] : [[tagOf(name), value]])),
  );
}
