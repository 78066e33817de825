// CLIP under the names of OpenAI (plain and TorchScript) and Hugging Face is the same model under ours.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { type Picklable, python } from '@slip/pickle';
import { convertWeights, openWeights, readWhole, tensorInMemory, writeTorchFile } from '../index.js';
import { TORCH_GOLDEN, temporaryFolder } from '../testing/temporary-folder.js';
import { toOurs, toTheirs } from './apply-map.js';
import { KEY_MAPS } from './key-rules.js';
import { widened } from './rearrange.js';

const expected = JSON.parse(readFileSync(path.join(TORCH_GOLDEN, 'clip-expected.json'), 'utf8'));

for (const [file, format, precision] of [
  ['clip-plain.pt', 'openai-clip', 'full'],
  ['clip-script.pt', 'openai-clip', 'half'],
  ['clip-hugging-face.bin', 'hugging-face-clip', 'full'],
] as const) {
  test(`${file} under our names`, async () => {
    const weights = await openWeights(path.join(TORCH_GOLDEN, file));
    const found: Record<string, unknown> = {};
    for (const tensor of weights.tensors) {
      found[tensor.name] = [
        tensor.shape,
        createHash('sha256')
          .update(await readWhole(tensor))
          .digest('hex'),
      ];
    }
    await weights.close();
    assert.deepEqual(found, expected[precision]);
    assert.equal(weights.format, format);
    const { vision, text, family } = weights.model;
    assert.ok(vision.kind === 'vit');
    assert.deepEqual(
      [family, vision.preNorm, vision.patchBias, vision.activation, vision.patchSize, vision.imageSize, vision.depth],
      ['CLIP', true, false, 'quick_gelu', 4, 8, 2],
    );
    assert.equal(vision.normEps, 1e-5);
    const unknown = { heads: undefined, activation: 'quick_gelu' };
    assert.deepEqual(text, { width: 6, depth: 1, vocabSize: 11, contextLength: 5, ...unknown });
  });
}

test('a CLIP tower goes to timm and to a checkpoint of ours; the original cannot hold it, and the message says why', async (t) => {
  const folder = temporaryFolder(t);
  const weights = await openWeights(path.join(TORCH_GOLDEN, 'clip-plain.pt'));
  t.after(() => weights.close());
  const { notes } = await convertWeights(weights, path.join(folder, 'tower.pt'), { to: 'timm' });
  assert.match(notes[0], /pre_norm=True/);
  await assert.rejects(convertWeights(weights, path.join(folder, 'c'), { to: 'original' }), {
    code: 'unsupported',
    message: /a norm before its first block, no bias in its patch embedding, another activation \(QuickGELU\)/,
  });
  const own = await convertWeights(weights, path.join(folder, 'c'), { to: 'checkpoint' });
  assert.match(own.notes[0], /no run can use it: the text tower has 11 words/);
  const back = await openWeights(own.path);
  await back.close();
  assert.deepEqual(back.model, weights.model);
});

test('a linear probe: a timm tower with classifier, wrapped for data-parallel training', async (t) => {
  const file = path.join(temporaryFolder(t), 'linear.pt');
  const shapes: [string, number[]][] = [
    ['cls_token', [1, 1, 2]],
    ['pos_embed', [1, 5, 2]],
    ['patch_embed.proj.weight', [2, 3, 4, 4]],
    ['patch_embed.proj.bias', [2]],
    ['head.weight', [3, 2]],
  ];
  await writeTorchFile(file, (place) => {
    const tensors = shapes.map(([name, shape]): [string, Picklable] => {
      const bytes = new Uint8Array(4 * shape.reduce((a, b) => a * b, 1));
      return [`module.${name}`, place(tensorInMemory({ name, dtype: 'F32', shape }, bytes))];
    });
    return new Map<Picklable, Picklable>([['state_dict', python.orderedDict(new Map(tensors))]]);
  });
  const weights = await openWeights(file);
  await weights.close();
  assert.equal(weights.format, 'timm');
  assert.deepEqual([weights.tensors.length, weights.model.vision.imageSize], [4, 8]);
  assert.match(weights.notes.join(), /left out head\.weight: a classifier/);
});

test('config.json beside Hugging Face weights tells activation and heads', async (t) => {
  const folder = temporaryFolder(t);
  copyFileSync(path.join(TORCH_GOLDEN, 'clip-hugging-face.bin'), path.join(folder, 'pytorch_model.bin'));
  writeFileSync(path.join(folder, 'config.json'), '{"vision_config":{"hidden_act":"gelu","num_attention_heads":2}}');
  const weights = await openWeights(folder);
  await weights.close();
  const { vision } = weights.model;
  assert.ok(vision.kind === 'vit');
  assert.deepEqual([vision.activation, vision.heads], ['gelu', 2]);
  writeFileSync(path.join(folder, 'config.json'), '{');
  await assert.rejects(openWeights(folder), /config\.json is not JSON/);
});

test('unknown tensors, broken triples and wrong axes are named', () => {
  const tensor = (name: string, shape: number[]) =>
    tensorInMemory({ name, dtype: 'F32', shape }, new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)));
  assert.throws(() => toOurs('f', KEY_MAPS.timm, [tensor('cls_token', [1, 1, 2]), tensor('blocks.0.ls1.gamma', [2])]), {
    code: 'unsupported',
    message: /f looks like a timm vision transformer but has 1 tensors.*blocks\.0\.ls1\.gamma/,
  });
  const query = tensor('vision_model.encoder.layers.0.self_attn.q_proj.bias', [2]);
  assert.throws(() => toOurs('f', KEY_MAPS['hugging-face-clip'], [query]), /not three tensors of one shape/);
  assert.throws(
    () => toOurs('f', KEY_MAPS['openai-clip'], [tensor('visual.class_embedding', [1, 2])]),
    /1 axes were expected/,
  );
});

test('what open_clip gets comes back the same', async () => {
  const values = Float32Array.from({ length: 6 }, (_, i) => i);
  const ours = [
    tensorInMemory({ name: 'image_projection', dtype: 'F32', shape: [2, 3] }, new Uint8Array(values.buffer)),
    tensorInMemory({ name: 'image_mlp.layer1.bias', dtype: 'F32', shape: [1] }, new Uint8Array(4)),
    tensorInMemory({ name: 'visual.blocks.3.attn.qkv.bias', dtype: 'F32', shape: [1] }, new Uint8Array(4)),
  ];
  const { tensors, left } = toTheirs(KEY_MAPS['open-clip-timm'], ours);
  assert.deepEqual(
    tensors.map(({ name, shape }) => [name, shape]),
    [
      ['visual.head.proj.weight', [3, 2]],
      ['visual.trunk.blocks.3.attn.qkv.bias', [1]],
    ],
  );
  assert.deepEqual([...new Float32Array((await readWhole(tensors[0])).buffer)], [0, 3, 1, 4, 2, 5]);
  assert.deepEqual(
    left.map(({ name }) => name),
    ['image_mlp.layer1.bias'],
  );
  const back = toOurs('f', KEY_MAPS['open-clip-timm'], tensors).tensors;
  assert.deepEqual(await readWhole(back[0]), new Uint8Array(values.buffer));
});

test('half precision widens exactly: all 65536 halves, and bfloat16', async () => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const halves = tensorInMemory({ name: 'h', dtype: 'F16', shape: [65536] }, new Uint8Array(all.buffer));
  const singles = new Float32Array((await readWhole(widened(halves))).buffer);
  for (let bits = 0; bits < 65536; bits++) {
    const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
    const size =
      exponent === 31
        ? fraction === 0
          ? Number.POSITIVE_INFINITY
          : Number.NaN
        : exponent === 0
          ? fraction * 2 ** -24
          : (1 + fraction / 1024) * 2 ** (exponent - 15);
    if (!Object.is(singles[bits], bits & 0x8000 ? -size : size)) assert.fail(`half ${bits} became ${singles[bits]}`);
  }
  const brain = tensorInMemory(
    { name: 'b', dtype: 'BF16', shape: [2] },
    new Uint8Array(Uint16Array.of(0x3fc0, 0xc000).buffer),
  );
  assert.deepEqual([...new Float32Array((await readWhole(widened(brain))).buffer)], [1.5, -2]);
});
