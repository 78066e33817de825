// CLIP as OpenAI and Hugging Face give it out is a model of ours that runs: features, loss and gradients are those that
// transformers' CLIPModel computes (test/golden/torch/clip-features.json, in double precision).
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { createOnnxExecutor, type StepDefinition, type StepExecutor } from '@slip/engine';
import { imageFeatureStep, textFeatureStep, trainStep } from '@slip/model';
import type { ModelConfig } from '@slip/model/architecture';
import { convertWeights, openWeights, readWhole, requireOwnModel, widened } from '@slip/weights';

const golden = path.resolve(import.meta.dirname, '../../golden/torch');
const expected = JSON.parse(readFileSync(path.join(golden, 'clip-features.json'), 'utf8'));
const ROWS = 3;
/** float32 against double precision, of the largest value. */
const TOLERANCE = 1e-5;

interface Loaded {
  readonly model: ModelConfig;
  readonly values: ReadonlyMap<string, Float32Array>;
}

async function load(file: string, hints = {}): Promise<Loaded> {
  const weights = await openWeights(file, hints);
  try {
    const values = new Map<string, Float32Array>();
    for (const tensor of weights.tensors) {
      values.set(tensor.name, new Float32Array((await readWhole(widened(tensor))).buffer as ArrayBuffer));
    }
    return { model: requireOwnModel(file, weights.tensors, weights.model), values };
  } finally {
    await weights.close();
  }
}

async function compute(step: StepDefinition, { values }: Loaded): Promise<StepExecutor> {
  const inputs: Record<string, Float32Array> = {};
  for (const { name } of step.inputs) {
    if (name.startsWith('param/')) inputs[name] = values.get(name.slice('param/'.length))!;
  }
  const executor = await createOnnxExecutor(step, { rank: 0, worldSize: 1, threads: 1, inputs });
  for (const { name } of step.inputs) if (!name.startsWith('param/')) executor.input(name).set(expected[name]);
  await executor.run();
  return executor;
}

async function features(step: StepDefinition, loaded: Loaded): Promise<Float32Array> {
  const executor = await compute(step, loaded);
  const found = Float32Array.from(executor.output('features') as Float32Array);
  await executor.close();
  return found;
}

function assertClose(found: Float32Array, wanted: readonly number[], tolerance: number, what: string): void {
  assert.equal(found.length, wanted.length, what);
  const scale = Math.max(...wanted.map(Math.abs));
  const worst = Math.max(...wanted.map((value, i) => Math.abs(value - found[i]))) / scale;
  assert.ok(worst < tolerance, `${what}: largest difference ${worst} of the largest value ${scale}`);
}

async function assertFeatures(loaded: Loaded, activation: 'gelu' | 'quick_gelu', tolerance: number): Promise<void> {
  const wanted = expected[activation];
  const image = await features(imageFeatureStep(loaded.model, { batchSize: ROWS }), loaded);
  assertClose(image, wanted.imageFeatures, tolerance, 'image features');
  const text = await features(textFeatureStep(loaded.model, { batchSize: ROWS }), loaded);
  assertClose(text, wanted.textFeatures, tolerance, 'text features');
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-clip-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const HEADS = { visionHeads: 2, textHeads: 2 };

for (const [file, tolerance] of [
  ['clip-plain.pt', TOLERANCE],
  ['clip-hugging-face.bin', TOLERANCE],
  // Its weights were rounded to halves when it was written.
  ['clip-script.pt', 2e-2],
] as const) {
  test(`${file} computes what transformers computes, to ${tolerance}`, async () => {
    await assertFeatures(await load(path.join(golden, file), HEADS), 'quick_gelu', tolerance);
  });
}

test('activation and heads come from config.json, and stay in a checkpoint of ours', async (t) => {
  const folder = temporaryFolder(t);
  cpSync(path.join(golden, 'clip-hugging-face.bin'), path.join(folder, 'pytorch_model.bin'));
  const tower = { hidden_act: 'gelu', num_attention_heads: 2 };
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ vision_config: tower, text_config: tower }));
  await assertFeatures(await load(folder), 'gelu', TOLERANCE);
  const weights = await openWeights(folder);
  const { path: own } = await convertWeights(weights, path.join(folder, 'checkpoints'), { to: 'checkpoint' });
  await weights.close();
  await assertFeatures(await load(own), 'gelu', TOLERANCE);
});

test('the training step has the loss and the gradients of transformers', async () => {
  for (const activation of ['quick_gelu', 'gelu'] as const) {
    const loaded = await load(path.join(golden, 'clip-plain.pt'), {
      ...HEADS,
      activation,
      textActivation: activation,
    });
    const options = { rows: [ROWS], rank: 0, gather: 'full', sslScale: 1, sslTemp: 0.1 } as const;
    const executor = await compute(trainStep(loaded.model, options), loaded);
    const { loss, gradients } = expected[activation];
    assertClose(executor.output('loss') as Float32Array, [loss], TOLERANCE, 'loss');
    for (const [name, wanted] of Object.entries<number[]>(gradients)) {
      assertClose(executor.output(`grad/${name}`) as Float32Array, wanted, 1e-4, `${activation}: gradient of ${name}`);
    }
    await executor.close();
  }
});
