// Encoders of unit vectors with the current weights of a training.
import type { ModelConfig } from '@slip/model/architecture';
import * as encode from '../encode/encoder.js';
import { type TrainState, tensorView } from '../pretrain/train-state.js';

export function imageEncoder(
  model: ModelConfig,
  state: TrainState,
  batchSize: number,
  threads: number,
): Promise<encode.Encoder> {
  return encode.imageEncoder(model, tensorsOf(state), {
    batchSize,
    threads,
    unit: true,
    ...encode.cachedBy(state.device),
  });
}

export function textEncoder(
  model: ModelConfig,
  state: TrainState,
  batchSize: number,
  threads: number,
): Promise<encode.Encoder> {
  return encode.textEncoder(model, tensorsOf(state), {
    batchSize,
    threads,
    unit: true,
    ...encode.cachedBy(state.device),
  });
}

function tensorsOf(state: TrainState): encode.TensorLookup {
  const kinds = new Map(state.entries.map(({ name, kind }) => [name, kind]));
  return (name) => tensorView(state, kinds.get(name) === 'buffer' ? state.buffers : state.params, name);
}
