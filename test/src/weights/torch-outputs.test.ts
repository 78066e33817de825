// A model that PyTorch trained and saved computes the same here as there, and so does a CLIP with a ResNet.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { createOnnxExecutor, type StepDefinition } from '@slip/engine';
import { imageFeatureStep, textFeatureStep } from '@slip/model';
import { resolveModel } from '@slip/model/architecture';
import { openWeights, readWhole, requireOwnModel, widened } from '@slip/weights';

const folder = path.resolve(import.meta.dirname, '../../golden/torch');
const expected = JSON.parse(readFileSync(path.join(folder, 'expected.json'), 'utf8')).slip;
const { sizes } = expected;
const model = resolveModel('SLIP_VITS16', {
  imageSize: sizes.image,
  patchSize: sizes.patch,
  visionWidth: sizes.width,
  visionDepth: sizes.depth,
  visionHeads: sizes.heads,
  contextLength: sizes.context,
  textWidth: sizes.text_width,
  textDepth: sizes.text_depth,
  textHeads: sizes.text_heads,
  vocabSize: sizes.vocab,
  embedDim: sizes.embed,
  sslMlpDim: sizes.ssl_mlp,
  sslEmbDim: sizes.ssl_emb,
});

async function features(step: StepDefinition, input: string, values: readonly number[]): Promise<Float32Array> {
  const weights = await openWeights(path.join(folder, 'slip-tiny.pt'));
  const inputs: Record<string, Float32Array> = {};
  for (const { name } of step.inputs) {
    const tensor = weights.tensors.find((candidate) => `param/${candidate.name}` === name);
    if (tensor !== undefined) inputs[name] = new Float32Array((await readWhole(tensor)).buffer as ArrayBuffer);
  }
  await weights.close();
  const executor = await createOnnxExecutor(step, { rank: 0, worldSize: 1, threads: 1, inputs });
  executor.input(input).set(values);
  await executor.run();
  const found = Float32Array.from(executor.output('features') as Float32Array);
  await executor.close();
  return found;
}

function assertClose(found: Float32Array, wanted: readonly number[]): void {
  assert.equal(found.length, wanted.length);
  const scale = Math.max(...wanted.map(Math.abs));
  const worst = Math.max(...wanted.map((value, i) => Math.abs(value - found[i]))) / scale;
  assert.ok(worst < 1e-5, `largest difference ${worst} of the largest value ${scale}`);
}

test('image features of a PyTorch checkpoint are those of PyTorch, to 1e-5', async () => {
  assertClose(await features(imageFeatureStep(model, { batchSize: 2 }), 'image', expected.image), expected.imageEmbed);
});

test('text features of a PyTorch checkpoint are those of PyTorch, to 1e-5', async () => {
  assertClose(await features(textFeatureStep(model, { batchSize: 2 }), 'tokens', expected.tokens), expected.textEmbed);
});

test('a CLIP with a ResNet under the names of OpenAI, in halves, gives the features of PyTorch, to 1e-4', async (context) => {
  const golden = JSON.parse(readFileSync(path.join(folder, 'clip-resnet.json'), 'utf8'));
  const weights = await openWeights(path.join(folder, 'clip-resnet.pt'));
  context.after(() => weights.close());
  assert.deepEqual([weights.format, weights.model.family], ['openai-clip-resnet', 'CLIP']);
  assert.deepEqual(weights.model.vision, { kind: 'resnet', ...golden.model });
  assert.match(weights.notes.join(), /left out .*input_resolution.*: a size that the other tensors tell/);
  const step = imageFeatureStep(requireOwnModel('clip-resnet.pt', weights.tensors, weights.model), { batchSize: 2 });
  const inputs: Record<string, Float32Array> = {};
  for (const { name } of step.inputs) {
    const tensor = weights.tensors.find((candidate) => name.endsWith(`/${candidate.name}`));
    if (tensor !== undefined) inputs[name] = new Float32Array((await readWhole(widened(tensor))).buffer as ArrayBuffer);
  }
  const executor = await createOnnxExecutor(step, { rank: 0, worldSize: 1, threads: 1, inputs });
  context.after(() => executor.close());
  const image = executor.input('image');
  for (let i = 0; i < image.length; i++) image[i] = Math.sin(0.37 * i);
  await executor.run();
  const found = executor.output('features') as Float32Array;
  const largest = Math.max(...golden.features.map(Math.abs));
  for (const [i, value] of golden.features.entries())
    assert.ok(Math.abs(found[i] - value) < 1e-4 * largest, `feature ${i}: ${found[i]}, PyTorch ${value}`);
});
