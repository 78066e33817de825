// For tests: the small models of test/golden/gradients.json, their weights and views from the generator's formulas.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { StepDefinition, StepExecutor } from '@slip/engine';
import { type Family, type ModelConfig, resolveModel, stateLayout } from '../architecture.js';

const goldenFolder = path.resolve(import.meta.dirname, '../../../../test/golden');

export interface GoldenFamily {
  readonly first: Readonly<Record<string, number>>;
  readonly gradients: Readonly<Record<string, readonly number[]>>;
  readonly running?: Readonly<Record<string, readonly number[]>>;
  readonly losses: readonly number[];
  readonly finalParameterNorms: Readonly<Record<string, number>>;
}

interface GoldenDocument {
  readonly batch: number;
  readonly config: Readonly<Record<string, number>>;
  readonly optimizer: { readonly lr: number; readonly weightDecay: number; readonly steps: number };
  readonly families: Readonly<Record<Family, GoldenFamily>>;
}

export const golden = readGolden('gradients.json') as GoldenDocument;

export function readGolden(name: string): unknown {
  return JSON.parse(readFileSync(path.join(goldenFolder, name), 'utf8'));
}

export function goldenModel(family: Family): ModelConfig {
  const c = golden.config;
  return resolveModel(`${family}_VITS16`, {
    imageSize: c.image,
    patchSize: c.patch,
    visionWidth: c.width,
    visionDepth: c.depth,
    visionHeads: c.heads,
    textWidth: c.text_width,
    textDepth: c.text_depth,
    textHeads: c.text_heads,
    contextLength: c.context,
    vocabSize: c.vocab,
    embedDim: c.embed,
    sslMlpDim: c.ssl_mlp,
    sslEmbDim: c.ssl_emb,
  });
}

/** The parameter arena by the generator's formula. */
export function goldenParameters(model: ModelConfig): Float32Array {
  const { entries, parameterCount } = stateLayout(model);
  const arena = new Float32Array(parameterCount);
  const params = entries.filter(({ kind }) => kind === 'param');
  params.forEach(({ name, shape, offset, size }, t) => {
    const isNorm = shape.length === 1 && name.endsWith('weight');
    const nearlyEmpty = name === 'visual.cls_token' || name === 'visual.pos_embed';
    const [base, amplitude] = isNorm ? [1, 0.1] : [0, nearlyEmpty || shape.length < 2 ? 0.1 : 0.4];
    for (let i = 0; i < size; i++) arena[offset + i] = base + amplitude * Math.sin(0.618034 * (i + 1) + t);
    if (name === 'logit_scale') arena[offset] = 2.5;
  });
  return arena;
}

/** Every view of the batch; a rank takes its rows. */
export function goldenViews(): Record<'image' | 'aug1' | 'aug2', Float32Array> & { tokens: Int32Array } {
  const { image, context } = golden.config;
  const pixels = (v: number) =>
    Float32Array.from({ length: golden.batch * 3 * image ** 2 }, (_, i) => {
      const [x, y] = [i % image, Math.floor(i / image) % image];
      const [c, b] = [Math.floor(i / image ** 2) % 3, Math.floor(i / image ** 2 / 3)];
      return 1.2 * Math.sin(0.3 * (b + 1) * (x + 0.5 * y) + c + 0.5 * v) + 0.5 * (b - 1.5);
    });
  const tokens = new Int32Array(golden.batch * context);
  for (let b = 0; b < golden.batch; b++) {
    const end = Math.min(4 + b, context - 1);
    for (let j = 0; j < end; j++) tokens[b * context + j] = (49 * b + 11 * j) % 61;
    tokens[b * context + end] = 63;
  }
  return { image: pixels(0), aug1: pixels(1), aug2: pixels(2), tokens };
}

/** Parameters and gradients of a step as views into two arenas. */
export function bindArenas(model: ModelConfig, params: Float32Array, grads: Float32Array) {
  const inputs: Record<string, Float32Array> = {};
  const outputs: Record<string, Float32Array> = {};
  for (const { name, kind, offset, size } of stateLayout(model).entries) {
    if (kind !== 'param') continue;
    inputs[`param/${name}`] = params.subarray(offset, offset + size);
    outputs[`grad/${name}`] = grads.subarray(offset, offset + size);
  }
  return { inputs, outputs };
}

/** Writes rows [rank * B, (rank + 1) * B) of the golden views into an executor. */
export function feedGoldenRows(step: StepDefinition, executor: StepExecutor, firstRow: number): void {
  const views: Record<string, Float32Array | Int32Array> = goldenViews();
  for (const { name } of step.inputs) {
    if (name.startsWith('param/') || name === 'loss_scale') continue;
    const target = executor.input(name);
    const width = views[name].length / golden.batch;
    target.set(views[name].subarray(firstRow * width, firstRow * width + target.length));
  }
}

/** Norm of the difference relative to the norm of what is expected, with a floor for tensors that are zero in truth. */
export function relativeError(found: ArrayLike<number>, expected: ArrayLike<number>, floor = 1e-12): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (found[i] - expected[i]) ** 2;
    norm += expected[i] ** 2;
  }
  return Math.sqrt(difference) / Math.max(Math.sqrt(norm), floor);
}
