// Names, order, shapes, decay and counts of the nine models against the reference's state dicts.
import assert from 'node:assert/strict';
import test from 'node:test';
import { countParameters, MODEL_NAMES, modelFlags, resolveModel, stateLayout } from './architecture.js';
import { initialiseBuffers, initialiseParameters, initialiseParametersOf } from './initialise.js';
import { readGolden } from './testing/golden-model.js';

interface ReferenceEntry {
  key: string;
  shape: number[];
  kind: 'param' | 'buffer' | 'buffer_i64';
  wd?: boolean;
}
const reference = readGolden('state-dict.json') as Record<string, { params: number; entries: ReferenceEntry[] }>;

/** CLIP_RN50 is not of the original: its names are held against PyTorch beside its tower. */
const ORIGINALS = MODEL_NAMES.filter((name) => name !== 'CLIP_RN50');

for (const name of ORIGINALS) {
  test(`${name} has the reference's tensors, in its order`, () => {
    const model = resolveModel(name);
    const ours = stateLayout(model).entries.map((entry) => ({
      key: entry.name,
      shape: entry.shape,
      kind: entry.dtype === 'int64' ? 'buffer_i64' : entry.kind,
      ...(entry.kind === 'param' ? { wd: entry.decay } : {}),
    }));
    const theirs = reference[name].entries.map(({ key, shape, kind, wd }) => ({
      key,
      shape,
      kind,
      ...(kind === 'param' ? { wd } : {}),
    }));
    assert.equal(Object.keys(reference).length, ORIGINALS.length);
    assert.deepEqual(ours, theirs);
    assert.equal(countParameters(model), reference[name].params);
  });
}

test('parameters fill their arena without gaps or overlaps', () => {
  const { entries, parameterCount } = stateLayout(resolveModel('SLIP_VITS16'));
  let next = 0;
  for (const entry of entries.filter(({ kind }) => kind === 'param')) {
    assert.equal(entry.offset, next);
    next += entry.size;
  }
  assert.equal(next, parameterCount);
});

test('initial values follow the distributions of the reference', () => {
  const model = resolveModel('SLIP_VITS16', { visionDepth: 1, textDepth: 12, vocabSize: 2000, sslMlpDim: 512 });
  const arena = initialiseParameters(model, 7);
  const view = (name: string) => {
    const entry = stateLayout(model).entries.find((candidate) => candidate.name === name)!;
    return arena.subarray(entry.offset, entry.offset + entry.size);
  };
  const normals: [string, number][] = [
    ['visual.blocks.0.attn.qkv.weight', 0.02],
    ['visual.pos_embed', 0.02],
    ['token_embedding.weight', 0.02],
    ['positional_embedding', 0.01],
    ['image_projection', 384 ** -0.5],
    ['text_projection', 512 ** -0.5],
    ['transformer.resblocks.3.attn.in_proj_weight', 512 ** -0.5],
    ['transformer.resblocks.3.attn.out_proj.weight', 0.0090211],
    ['transformer.resblocks.3.mlp.c_proj.weight', 0.0090211],
    ['transformer.resblocks.3.mlp.c_fc.weight', 0.03125],
  ];
  for (const [name, std] of normals) {
    const { mean, deviation } = moments(view(name));
    const tolerance = 5 / Math.sqrt(2 * view(name).length);
    assert.ok(Math.abs(deviation / std - 1) < tolerance, `${name}: std ${deviation}, wanted ${std}`);
    assert.ok(Math.abs(mean) < (5 * std) / Math.sqrt(view(name).length), `${name}: mean ${mean}`);
  }
  const uniforms: [string, number][] = [
    ['visual.patch_embed.proj.weight', 768 ** -0.5],
    ['visual.patch_embed.proj.bias', 768 ** -0.5],
    ['transformer.resblocks.0.mlp.c_fc.bias', 512 ** -0.5],
    ['transformer.resblocks.0.mlp.c_proj.bias', 2048 ** -0.5],
    ['image_mlp.layer1.weight', 384 ** -0.5],
    ['image_mlp.layer3.bias', 512 ** -0.5],
  ];
  for (const [name, bound] of uniforms) {
    const values = view(name);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    assert.ok(largest <= bound * 1.000001 && largest > bound * 0.95, `${name}: bound ${largest}, wanted ${bound}`);
  }
  assert.ok(Math.abs(view('logit_scale')[0] - Math.log(1 / 0.07)) < 1e-6);
  assert.ok(view('image_mlp.bn1.weight').every((value) => value === 1));
  assert.ok(view('visual.blocks.0.attn.qkv.bias').every((value) => value === 0));
  assert.deepEqual(arena, initialiseParameters(model, 7), 'a pure function of the seed');
  const together = new Float32Array(arena.length);
  for (let index = 0; index < 3; index++) {
    initialiseParametersOf(stateLayout(model), 7, together, { index, count: 3 });
  }
  assert.deepEqual(together, arena, 'three fill it together');
  assert.notDeepEqual(arena, initialiseParameters(model, 8));
});

test('running statistics start at mean 0 and variance 1', () => {
  const model = resolveModel('SIMCLR_VITS16', { sslMlpDim: 8 });
  const buffers = initialiseBuffers(model);
  assert.deepEqual(
    [...buffers],
    [...Array(2)].flatMap(() => [...Array(8).fill(0), ...Array(8).fill(1)]),
  );
});

test('sizes that do not fit are refused by the flag that sets them', () => {
  const cases: [Record<string, number>, RegExp][] = [
    [{ imageSize: 30, patchSize: 16 }, /--image-size 30 is not a multiple of --patch-size 16/],
    [{ visionWidth: 100 }, /--vision-width 100 is not a multiple of --vision-heads 12/],
    [{ textWidth: 100 }, /--text-width 100 is not a multiple of --text-heads 8/],
    [{ visionDepth: 0 }, /--vision-depth 0 is not a positive integer/],
    [{ contextLength: 2 }, /--context-length 2 is too short/],
  ];
  for (const [overrides, message] of cases) assert.throws(() => resolveModel('SLIP_VITS16', overrides), message);
  assert.throws(() => resolveModel('SLIP_VITX16'), /--model SLIP_VITX16 is not known; there are CLIP_VITS16/);
});

function moments(values: Float32Array): { mean: number; deviation: number } {
  let sum = 0;
  let squares = 0;
  for (const value of values) {
    sum += value;
    squares += value * value;
  }
  const mean = sum / values.length;
  return { mean, deviation: Math.sqrt(squares / values.length - mean * mean) };
}

const CLIP_TOWER = {
  visionPreNorm: true,
  patchBias: false,
  visionActivation: 'quick_gelu',
  visionNormEps: 1e-5,
  patchSize: 32,
} as const;

test("OpenAI's ViT-B/32: a norm more, a bias less, as many parameters as published; no weight decay on the norm", () => {
  const model = resolveModel('CLIP_VITB16', CLIP_TOWER);
  const { entries } = stateLayout(model);
  const original = stateLayout(resolveModel('CLIP_VITB16', { patchSize: 32 })).entries.map(({ name }) => name);
  const names = entries.map(({ name }) => name);
  assert.deepEqual(
    names.filter((name) => !original.includes(name)),
    ['visual.norm_pre.weight', 'visual.norm_pre.bias'],
  );
  assert.deepEqual(
    original.filter((name) => !names.includes(name)),
    ['visual.patch_embed.proj.bias'],
  );
  assert.equal(countParameters(model), 151_277_313);
  const norm = entries.find(({ name }) => name === 'visual.norm_pre.weight')!;
  assert.deepEqual([norm.decay, norm.initial], [false, { kind: 'constant', value: 1 }]);
});

test('the flags of a model make the same model', () => {
  assert.deepEqual(modelFlags(resolveModel('CLIP_VITB16', CLIP_TOWER)), [
    ...['--model', 'CLIP_VITB16', '--patch-size', '32', '--vision-pre-norm', '--no-patch-bias'],
    ...['--vision-activation', 'quick_gelu', '--vision-norm-eps', '0.00001'],
  ]);
  for (const name of MODEL_NAMES) assert.deepEqual(modelFlags(resolveModel(name)), ['--model', name]);
  const words = resolveModel('CLIP_VITB16', { vocabSize: 100 });
  assert.throws(() => modelFlags(words), /the text tower has 100 words, runs of this program have 49408/);
});
