// Memory of a worker that trains: what it will need, said before the first step; what it needed, said after the last; and running
// out of it, turned into advice. Not its allocation.
import os from 'node:os';
import type { TrainingConfig } from '@slip/config';
import { SlipError } from '@slip/core';
import type { StepExecutor } from '@slip/engine';
import type { TrainState } from './train-state.js';

/** Node.js, tfjs, ONNX Runtime and the compiled step, before any tensor. */
const PROCESS_BYTES = 0.35e9;

/** Peak of one worker, bytes. Parameters and moments are one for all workers of a machine, and counted in each. */
export function estimateWorkerMemory(state: TrainState, lanes: readonly { readonly executor: StepExecutor }[]): number {
  const arenas = [state.params, state.grads, ...Object.values(state.moments)];
  const bound = arenas.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const steps = lanes.map(({ executor: { stats } }) => stats.crossingBytes + stats.activationBytes);
  return PROCESS_BYTES + bound + steps.reduce((sum, bytes) => sum + bytes, 0);
}

/** One line for the start of a run. */
export function describeEstimate(bytes: number): string {
  return `memory: about ${gigabytes(bytes)} for each worker at its peak`;
}

/** A warning where the workers of this machine will probably need more than is free; else undefined. */
export function memoryWarning(bytes: number, workers: number, config: TrainingConfig): string | undefined {
  const free = os.freemem();
  if (bytes * workers <= free) return undefined;
  return (
    `${workers} worker(s) need about ${gigabytes(bytes * workers)} of memory here, and ${gigabytes(free)} are free; ` +
    whatToChange(config)
  );
}

/** For the end of a run: the most that this process ever held. */
export function describePeak(estimate: number): string {
  const peak = process.resourceUsage().maxRSS * 1024;
  return `memory: ${gigabytes(peak)} at the peak of this worker (estimated ${gigabytes(estimate)})`;
}

/** Whatever says that memory ran out becomes an error that names what to change; everything else stays as it is. */
export function explainOutOfMemory(thrown: unknown, config: TrainingConfig): unknown {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (thrown instanceof SlipError || !OUT_OF_MEMORY.test(message)) return thrown;
  return new SlipError('memory', `memory ran out (${message.split('\n', 1)[0]}); ${whatToChange(config)}`, {
    cause: thrown,
  });
}

/** V8's, the C++ library's, ONNX Runtime's and the drivers' words for it. */
const OUT_OF_MEMORY =
  /array buffer allocation failed|invalid (typed )?array length|bad_alloc|failed to allocate|out of (device )?memory|cannot allocate memory/i;

function whatToChange(config: TrainingConfig): string {
  const { batchSize, updateFreq, gradCheckpointing } = config;
  const halved = Math.max(1, Math.floor(batchSize / 2));
  const flags = [
    ...(gradCheckpointing ? [] : ['add --grad-checkpointing (the same bits, a sixth more time)']),
    ...(batchSize > 1
      ? [`lower --batch-size ${batchSize} (to ${halved} with --update-freq ${updateFreq * 2}: as many rows a step)`]
      : ['start more workers on other machines with fewer rows each']),
  ];
  return flags.join(', or ');
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
