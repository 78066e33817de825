// Turns images and texts into unit vectors with the current weights, a fixed batch at a time.
import { imageFeatureStep, textFeatureStep } from '@slip/model';
import type { ModelConfig } from '@slip/model/architecture';
import type { TrainState } from '../pretrain/train-state.js';
import { executorOf } from './state-executor.js';

export interface Encoder {
  /** Rows of the input, at most `batchSize` of them. */
  readonly batchSize: number;
  /** @param rows how many rows of `data` count; the rest of the batch is ignored. @returns [rows, embedDim], each of length 1 */
  encode(data: Float32Array | Int32Array, rows: number): Promise<Float32Array>;
  close(): Promise<void>;
}

export function imageEncoder(
  model: ModelConfig,
  state: TrainState,
  batchSize: number,
  threads: number,
): Promise<Encoder> {
  return createEncoder(imageFeatureStep(model, { batchSize }), 'image', state, batchSize, threads);
}

export function textEncoder(
  model: ModelConfig,
  state: TrainState,
  batchSize: number,
  threads: number,
): Promise<Encoder> {
  return createEncoder(textFeatureStep(model, { batchSize }), 'tokens', state, batchSize, threads);
}

async function createEncoder(
  step: ReturnType<typeof imageFeatureStep>,
  input: string,
  state: TrainState,
  batchSize: number,
  threads: number,
): Promise<Encoder> {
  const executor = await executorOf(step, state, threads);
  return {
    batchSize,
    async encode(data, rows) {
      const target = executor.input(input);
      target.fill(0);
      target.set(data);
      await executor.run();
      const features = executor.output('features') as Float32Array;
      return unitRows(features.slice(0, (features.length / batchSize) * rows), rows);
    },
    close: () => executor.close(),
  };
}

/** Divides each row by its length, in place. */
export function unitRows(values: Float32Array, rows: number): Float32Array {
  const width = values.length / rows;
  for (let row = 0; row < rows; row++) {
    const vector = values.subarray(row * width, (row + 1) * width);
    let sum = 0;
    for (const value of vector) sum += value * value;
    const scale = 1 / Math.sqrt(sum);
    for (let i = 0; i < width; i++) vector[i] *= scale;
  }
  return values;
}
