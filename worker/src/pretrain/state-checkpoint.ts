// Between the arenas of a run and a checkpoint folder: which tensors, which facts, and what must agree on the way back.

import type { Checkpoint, JsonObject, NamedTensor } from '@slip/checkpoint';
import type { TrainingConfig } from '@slip/config';
import { SlipError } from '@slip/core';
import type { TensorEntry } from '@slip/model/architecture';
import type { LossScale } from './loss-scale.js';
import type { TrainState } from './train-state.js';

/** Facts stored beside the tensors. */
interface CheckpointState {
  readonly step: number;
  readonly epoch: number;
  /** Micro-batches consumed in the current epoch; a save is always between optimizer steps, so accumulation is empty. */
  readonly batchInEpoch: number;
  readonly batchesTracked: number;
  readonly bestAcc1: number;
  readonly globalBatch: number;
  readonly updateFreq: number;
  readonly seed: number;
  readonly configHash: string;
  readonly lossScale?: LossScale;
}

export interface SavePosition {
  readonly epoch: number;
  readonly batchInEpoch: number;
  readonly configHash: string;
}

/** All tensors of a checkpoint, by logical file. */
export function stateTensors(state: TrainState): Record<string, NamedTensor[]> {
  return { model: modelTensors(state), optimizer: momentTensors(state) };
}

/** What a run continues from beside the tensors. */
export function stateFacts(state: TrainState, config: TrainingConfig, position: SavePosition): JsonObject {
  const { lossScale } = state;
  const facts: Omit<CheckpointState, 'lossScale'> = {
    step: state.step,
    epoch: position.epoch,
    batchInEpoch: position.batchInEpoch,
    batchesTracked: state.batchesTracked,
    bestAcc1: state.bestAcc1,
    globalBatch: config.rowsPerMicroBatch,
    updateFreq: config.updateFreq,
    seed: config.seed,
    configHash: position.configHash,
  };
  return { ...facts, ...(lossScale === undefined ? {} : { lossScale: { ...lossScale } }) };
}

/**
 * Why a run cannot take its state from this checkpoint, of which only facts and headers are looked at.
 * @param globalBatch of the run; undefined where it only evaluates the model
 */
export function misfitOf(
  checkpoint: Checkpoint,
  state: TrainState,
  globalBatch: number | undefined,
): SlipError | undefined {
  if (globalBatch === undefined) return misfitOfTensors(checkpoint, 'model', modelTensors(state));
  const facts = checkpoint.state as unknown as CheckpointState;
  if (!checkpoint.files.includes('optimizer')) {
    return new SlipError(
      'checkpoint',
      `${checkpoint.path} holds a model without optimizer state, so no run can continue from it; start one with --pretrained ${checkpoint.path}`,
    );
  }
  if (facts.globalBatch !== globalBatch) {
    return new SlipError(
      'checkpoint',
      `${checkpoint.path} was written with ${facts.globalBatch} rows per micro-batch over all ranks, this run has ` +
        `${globalBatch}; negatives and batch norm depend on it: pass --rows-per-micro-batch ${facts.globalBatch}`,
    );
  }
  return (
    misfitOfTensors(checkpoint, 'model', modelTensors(state)) ??
    misfitOfTensors(checkpoint, 'optimizer', momentTensors(state))
  );
}

/** Takes over what is not in tensors. */
export function restoreFacts({ state: stored }: Checkpoint, state: TrainState): void {
  const facts = stored as unknown as CheckpointState;
  state.batchesTracked = facts.batchesTracked;
  state.bestAcc1 = facts.bestAcc1;
  state.step = facts.step;
  // A run that continues another in mixed precision begins with a scale of its own.
  if (state.lossScale !== undefined && facts.lossScale !== undefined) state.lossScale = { ...facts.lossScale };
}

function misfitOfTensors(checkpoint: Checkpoint, file: string, tensors: readonly NamedTensor[]): SlipError | undefined {
  const refuse = (what: string, where = '--model') => new SlipError('checkpoint', `${what}; check ${where}`);
  const missing = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  for (const { entry } of checkpoint.places(file)) {
    const target = missing.get(entry.name);
    if (target === undefined) return refuse(`${checkpoint.path} holds ${entry.name}, which this model does not have`);
    if (target.dtype !== entry.dtype || target.shape.join() !== entry.shape.join()) {
      const [found, wants] = [`${entry.dtype} [${entry.shape}]`, `${target.dtype} [${target.shape}]`];
      const what = `${entry.name} in ${checkpoint.path} is ${found}, this model wants ${wants}`;
      return refuse(what, '--model and its size flags');
    }
    missing.delete(entry.name);
  }
  if (missing.size === 0) return undefined;
  return refuse(`${checkpoint.path} lacks ${[...missing.keys()].slice(0, 3).join(', ')} (${missing.size} in all)`);
}

/** State-dict order: parameters and buffers, `num_batches_tracked` as int64 where the layout has it. */
function modelTensors(state: TrainState): NamedTensor[] {
  return state.entries.map((entry) => {
    if (entry.dtype === 'int64') {
      return {
        name: entry.name,
        dtype: 'I64',
        shape: entry.shape,
        data: BigInt64Array.of(BigInt(state.batchesTracked)),
      };
    }
    const arena = entry.kind === 'param' ? state.params : state.buffers;
    return { name: entry.name, dtype: 'F32', shape: entry.shape, data: view(arena, entry) };
  });
}

function momentTensors(state: TrainState): NamedTensor[] {
  return state.entries
    .filter((entry) => entry.kind === 'param')
    .flatMap((entry) =>
      Object.entries(state.moments).map(([moment, arena]) => ({
        name: `${moment}/${entry.name}`,
        dtype: 'F32' as const,
        shape: entry.shape,
        data: view(arena, entry),
      })),
    );
}

function view(arena: Float32Array, entry: TensorEntry): Float32Array {
  return arena.subarray(entry.offset, entry.offset + entry.size);
}
