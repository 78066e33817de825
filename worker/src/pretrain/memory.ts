// Memory of a worker that trains: what it will need, said before the first step, and a refusal where that cannot be had; what it
// needed, said after the last; and running out of it, turned into advice. Not its allocation.
import os from 'node:os';
import { rowsOfRanks, type TrainingConfig } from '@slip/config';
import { SlipError } from '@slip/core';
import type { StepExecutor } from '@slip/engine';
import type { TrainState } from './train-state.js';

/** Node.js, tfjs, ONNX Runtime and the compiled step, before any tensor. */
const PROCESS_BYTES = 0.35e9;

/** Peak of one worker, bytes. Parameters and moments are one for all workers of a machine, and counted in each. */
export function estimateWorkerMemory(state: TrainState, lanes: readonly { readonly executor: StepExecutor }[]): number {
  const arenas = [state.params, state.grads, ...Object.values(state.moments)];
  const bound = arenas.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return PROCESS_BYTES + bound + stepMemory(lanes);
}

/** Of that, what is taken by the first step and kept from then on. */
function stepMemory(lanes: readonly { readonly executor: StepExecutor }[]): number {
  const steps = lanes.map(({ executor: { stats } }) => stats.crossingBytes + stats.activationBytes);
  return steps.reduce((sum, bytes) => sum + bytes, 0);
}

/** What a worker still has to take before its first step, and what its machine has. */
export interface Room {
  readonly neededBytes: number;
  readonly freeBytes: number;
}

export function roomOf(lanes: readonly { readonly executor: StepExecutor }[]): Room {
  return { neededBytes: stepMemory(lanes), freeBytes: process.availableMemory() };
}

/** Estimates were up to a tenth above what was measured (docs/results, memory): what needs less than this part of them may fit. */
const SURELY_NEEDED = 0.8;

/**
 * Why a run is not even begun: the system would end one of its workers without a word.
 * @param rooms of all ranks
 * @param isContinuing its rows per micro-batch over all ranks are those of its checkpoint
 * @returns undefined where it fits, or may fit
 */
export function memoryRefusal(
  rooms: readonly Room[],
  config: TrainingConfig,
  isContinuing: boolean,
): SlipError | undefined {
  const workers = config.nprocPerNode;
  const rank = rooms.findIndex(({ neededBytes, freeBytes }) => SURELY_NEEDED * neededBytes * workers > freeBytes);
  if (rank < 0) return undefined;
  const { neededBytes, freeBytes } = rooms[rank];
  const rows = rowsOfRanks(config);
  const advice = isContinuing
    ? `the run goes on with ${config.rowsPerMicroBatch} rows per micro-batch over all ranks, because negatives and batch norm ` +
      `depend on them: use more machines${config.gradCheckpointing ? '' : `, or ${CHECKPOINTING}`}`
    : whatToChange(config);
  return new SlipError(
    'memory',
    `not enough memory on the machine of rank ${rank}: ${workers} worker(s) with ${rows[rank]} rows each need about ` +
      `${gigabytes(neededBytes * workers)} for a step, and ${gigabytes(freeBytes)} are free; ${advice}`,
  );
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

const CHECKPOINTING = 'add --grad-checkpointing (the same bits, a sixth more time)';

function whatToChange(config: TrainingConfig): string {
  const { batchSize, updateFreq, gradCheckpointing } = config;
  const halved = Math.max(1, Math.floor(batchSize / 2));
  const flags = [
    ...(gradCheckpointing ? [] : [CHECKPOINTING]),
    ...(batchSize > 1
      ? [`lower --batch-size ${batchSize} (to ${halved} with --update-freq ${updateFreq * 2}: as many rows a step)`]
      : ['start more workers on other machines with fewer rows each']),
  ];
  return flags.join(', or ');
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
