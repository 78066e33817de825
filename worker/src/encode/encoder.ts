// Turns images and texts into features with given weights, a fixed batch at a time. Where weights come from is the caller's affair.
import { createOnnxExecutor, type Device, type GraphCache, type StepDefinition, type StepExecutor } from '@slip/engine';
import { imageFeatureStep, textFeatureStep } from '@slip/model';
import type { ModelConfig } from '@slip/model/architecture';
import { feedTexts } from './feed-texts.js';

export interface Encoder {
  /** Rows of the input, at most `batchSize` of them. */
  readonly batchSize: number;
  /** @param rows how many rows of `data` count; the rest of the batch is ignored. @returns [rows, width] */
  encode(data: Float32Array | Int32Array, rows: number): Promise<Float32Array>;
  close(): Promise<void>;
}

export interface EncoderOptions {
  readonly batchSize: number;
  /** Compute threads. */
  readonly threads: number;
  /** Rows are divided by their length. */
  readonly unit: boolean;
  /** Where compiled graphs are kept. */
  readonly graphCache?: GraphCache;
}

/** A parameter or a running statistic by its name in the state dict. */
export type TensorLookup = (name: string) => Float32Array;

/** Input [rows, 3, S, S], normalised; rows of width embedDim, or of the tower's own width where the model has no projection. */
export function imageEncoder(model: ModelConfig, tensors: TensorLookup, options: EncoderOptions): Promise<Encoder> {
  return createEncoder(imageFeatureStep(model, options), 'image', tensors, options);
}

/** Input [rows, contextLength], tokens; rows of width embedDim. Not for SimCLR. */
export function textEncoder(model: ModelConfig, tensors: TensorLookup, options: EncoderOptions): Promise<Encoder> {
  return createEncoder(textFeatureStep(model, options), 'tokens', tensors, options);
}

async function createEncoder(
  step: StepDefinition,
  input: string,
  tensors: TensorLookup,
  { batchSize, threads, unit, graphCache }: EncoderOptions,
): Promise<Encoder> {
  const inputs: Record<string, Float32Array> = {};
  for (const { name } of step.inputs) {
    const [, tensor] = /^(?:param|frozen)\/(.*)$/.exec(name) ?? [];
    if (tensor !== undefined) inputs[name] = tensors(tensor);
  }
  const executor: StepExecutor = await createOnnxExecutor(step, {
    ...{ rank: 0, worldSize: 1, threads, inputs, anyLength: true },
    ...(graphCache === undefined ? {} : { graphCache }),
  });
  return {
    batchSize,
    async encode(data, rows) {
      const target = executor.input(input);
      target.fill(0);
      if (data instanceof Int32Array) feedTexts(executor, data);
      else target.set(data);
      await executor.run();
      const features = executor.output('features') as Float32Array;
      const own = features.slice(0, (features.length / batchSize) * rows);
      return unit ? unitRows(own, rows) : own;
    },
    close: () => executor.close(),
  };
}

/** The option for encoders of what that device computes. */
export function cachedBy(device: Device | undefined): { graphCache?: GraphCache } {
  return device?.graphCache === undefined ? {} : { graphCache: device.graphCache };
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
