// `<run>/log.txt`: the reference's JSON line per epoch, for the scripts that people already have.
import path from 'node:path';
import { JsonLinesFile } from './json-lines.js';
import type { MetricSink } from './metric-sink.js';

/** @param options.startStep lines of epochs that were not complete at this step are dropped */
export async function openEpochLog(
  runDir: string,
  options: { startStep: number; stepsPerEpoch: number },
): Promise<MetricSink> {
  const { log, kept } = await JsonLinesFile.open(
    path.join(runDir, 'log.txt'),
    ({ epoch }) => typeof epoch === 'number' && (epoch + 1) * options.stepsPerEpoch <= options.startStep,
  );
  const earlier = new Set(kept.map(({ epoch }) => epoch));
  return {
    name: 'log.txt',
    step: () => undefined,
    async epoch(line) {
      if (earlier.delete(line.epoch)) await log.drop(({ epoch }) => epoch === line.epoch);
      log.append(line);
    },
    evaluation: () => undefined,
    checkpoint: () => undefined,
    close: () => log.close(),
  };
}
