// Weights from one form to another and back: bit for bit where nothing has to change, refused by name where it cannot be.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { convertWeights, openWeights, readWhole, type StoredTensor, type Weights } from './index.js';
import { TORCH_GOLDEN, temporaryFolder } from './testing/temporary-folder.js';

const tiny = path.join(TORCH_GOLDEN, 'slip-tiny.pt');
const expected = JSON.parse(readFileSync(path.join(TORCH_GOLDEN, 'expected.json'), 'utf8')).slip;

async function opened<T>(source: string, use: (weights: Weights) => Promise<T>, hints = {}): Promise<T> {
  const weights = await openWeights(source, hints);
  try {
    return await use(weights);
  } finally {
    await weights.close();
  }
}

async function digests(tensors: readonly StoredTensor[] | undefined): Promise<Record<string, string>> {
  const all: Record<string, string> = {};
  for (const tensor of tensors ?? []) {
    all[tensor.name] = createHash('sha256')
      .update(await readWhole(tensor))
      .digest('hex');
  }
  return all;
}

const modelDigests = Object.fromEntries(
  Object.entries<[number[], string]>(expected.model).map(([name, [, digest]]) => [name, digest]),
);

test("PyTorch's checkpoint: model, moments under their parameters' names, facts", async () => {
  await opened(tiny, async (weights) => {
    assert.deepEqual(await digests(weights.tensors), modelDigests);
    assert.deepEqual(await digests(weights.moments), expected.moments);
    assert.deepEqual([weights.format, weights.epoch, weights.step, weights.bestAcc1], ['original', 3, 3, 12.5]);
    const { name, family, vision, text, ssl } = weights.model;
    assert.ok(vision.kind === 'vit');
    assert.deepEqual([name, family, vision.width, vision.depth, vision.imageSize], ['SLIP_VITS16', 'SLIP', 8, 2, 32]);
    assert.deepEqual(
      [text, ssl],
      [
        { width: 8, depth: 2, vocabSize: 30, contextLength: 6, heads: undefined, activation: 'quick_gelu' },
        { mlpDim: 8, embDim: 4 },
      ],
    );
    assert.equal(weights.args?.output_dir, '/checkpoint/slip');
  });
});

test('original to checkpoint folder to original and the safe form: every bit of model and optimizer stays', async (t) => {
  const folder = temporaryFolder(t);
  const checkpoints = path.join(folder, 'checkpoints');
  const own = await opened(tiny, (weights) => convertWeights(weights, checkpoints, { to: 'checkpoint' }));
  assert.equal(own.path, path.join(checkpoints, 'step-00000003'));
  await opened(own.path, async (weights) => {
    assert.deepEqual([weights.container, weights.epoch, weights.step, weights.bestAcc1], ['checkpoint', 3, 3, 12.5]);
    assert.deepEqual(await digests(weights.tensors), modelDigests);
    await convertWeights(weights, path.join(folder, 'safe.pt'), { to: 'torch', optimizer: true });
    await convertWeights(weights, path.join(folder, 'one.safetensors'), { to: 'safetensors' });
  });
  await opened(own.path, (weights) => convertWeights(weights, path.join(folder, 'back.pt'), { to: 'original' }));
  for (const [file, moments] of [
    ['back.pt', true],
    ['safe.pt', true],
    ['one.safetensors', false],
  ] as const) {
    await opened(path.join(folder, file), async (weights) => {
      assert.deepEqual(
        Object.entries(await digests(weights.tensors)),
        Object.entries(modelDigests),
        `${file}, in order`,
      );
      assert.deepEqual(await digests(weights.moments), moments ? expected.moments : {}, file);
    });
  }
  await opened(path.join(folder, 'back.pt'), async ({ args }) => {
    const { args: before } = await opened(tiny, async (weights) => weights);
    assert.deepEqual(args, before, 'options come back');
  });
  assert.equal(JSON.parse(readFileSync(path.join(own.path, 'manifest.json'), 'utf8')).state.globalBatch, 64 * 8);
});

test('a tower for timm and back', async (t) => {
  const folder = temporaryFolder(t);
  for (const file of ['tower.pt', 'tower.safetensors']) {
    const target = path.join(folder, file);
    const { notes } = await opened(tiny, (weights) => convertWeights(weights, target, { to: 'timm' }), {
      visionHeads: 2,
    });
    assert.match(notes.join(), /VisionTransformer\(img_size=32, patch_size=16, embed_dim=8, depth=2, num_heads=2/);
    await opened(target, async (weights) => {
      const tower = Object.entries(modelDigests).filter(([name]) => name.startsWith('visual.'));
      assert.deepEqual(await digests(weights.tensors), Object.fromEntries(tower));
      assert.deepEqual([weights.format, weights.model.family], ['timm', undefined]);
      const into = path.join(folder, 'none');
      await assert.rejects(convertWeights(weights, into, { to: 'checkpoint' }), /vision tower alone/);
      assert.equal(existsSync(into), false);
    });
  }
});

test('what cannot be held is refused by name, and nothing is left behind', async (t) => {
  const folder = temporaryFolder(t);
  const target = path.join(folder, 'out');
  const cases: [string, string, RegExp][] = [
    ['hugging-face', 'unsupported', /CLIPModel cannot hold .*always has a norm before the first block/],
    ['openai-clip', 'unsupported', /OpenAI's CLIP cannot hold/],
    ['open_clip', 'unsupported', /timm has no tower of width 8, depth 2/],
    ['tim', 'config', /--to tim is not known.*did you mean timm\?/],
  ];
  for (const [to, code, message] of cases) {
    await opened(tiny, async (weights) => {
      await assert.rejects(convertWeights(weights, target, { to }), { code, message });
    });
  }
  await opened(tiny, async (weights) => {
    await assert.rejects(convertWeights(weights, tiny, { to: 'torch' }), /is the source itself/);
    await assert.rejects(convertWeights(weights, folder, { to: 'torch' }), /is a folder/);
    await assert.rejects(convertWeights(weights, target, { to: 'timm', optimizer: true }), /holds the model alone/);
    await convertWeights(weights, target, { to: 'torch' });
    await assert.rejects(convertWeights(weights, target, { to: 'torch' }), /is there already.*--force/);
    await convertWeights(weights, target, { to: 'torch', force: true });
  });
  assert.deepEqual(readdirSync(folder), ['out']);
});
