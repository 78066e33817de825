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

/** Fills `state` from a checkpoint. @throws SlipError `checkpoint` when it does not fit this model or run */
export async function restoreTrainState(checkpoint: Checkpoint, state: TrainState, globalBatch: number): Promise<void> {
  const facts = checkpoint.state as unknown as CheckpointState;
  if (!checkpoint.files.includes('optimizer')) {
    throw new SlipError(
      'checkpoint',
      `${checkpoint.path} holds a model without optimizer state, so no run can continue from it; start one with --pretrained ${checkpoint.path}`,
    );
  }
  if (facts.globalBatch !== globalBatch) {
    throw new SlipError(
      'checkpoint',
      `${checkpoint.path} was written with ${facts.globalBatch} rows per micro-batch over all ranks, this run has ` +
        `${globalBatch}; negatives and batch norm depend on it: pass --rows-per-micro-batch ${facts.globalBatch}`,
    );
  }
  await restoreTensors(checkpoint, 'model', modelTensors(state));
  await restoreTensors(checkpoint, 'optimizer', momentTensors(state));
  state.batchesTracked = facts.batchesTracked;
  state.bestAcc1 = facts.bestAcc1;
  state.step = facts.step;
  // A run that continues another in mixed precision begins with a scale of its own.
  if (state.lossScale !== undefined && facts.lossScale !== undefined) state.lossScale = { ...facts.lossScale };
}

/** Fills only the model's tensors (for evaluation). */
export async function restoreModel(checkpoint: Checkpoint, state: TrainState): Promise<void> {
  await restoreTensors(checkpoint, 'model', modelTensors(state));
  state.step = checkpoint.step;
}

async function restoreTensors(checkpoint: Checkpoint, file: string, tensors: readonly NamedTensor[]): Promise<void> {
  const wanted = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const missing = new Set(wanted.keys());
  await checkpoint.readInto(file, (name, dtype, shape) => {
    const target = wanted.get(name);
    if (target === undefined) {
      throw new SlipError(
        'checkpoint',
        `${checkpoint.path} holds ${name}, which this model does not have; check --model`,
      );
    }
    if (target.dtype !== dtype || target.shape.join() !== shape.join()) {
      throw new SlipError(
        'checkpoint',
        `${name} in ${checkpoint.path} is ${dtype} [${shape}], this model wants ${target.dtype} [${target.shape}]; check --model and its size flags`,
      );
    }
    missing.delete(name);
    return target.data;
  });
  if (missing.size > 0) {
    throw new SlipError(
      'checkpoint',
      `${checkpoint.path} lacks ${[...missing].slice(0, 3).join(', ')} (${missing.size} in all); check --model`,
    );
  }
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
