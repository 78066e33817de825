// What linear probing and fine-tuning refuse, the places of labelled pictures, and by how much rows count.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import type { Weights } from '@slip/weights';
import { interpolatePositions } from './interpolate-positions.js';
import { openLabelledImages } from './labelled-images.js';
import { writeRowWeights } from './row-weights.js';
import { cosineByEpoch } from './run-linear.js';
import { towerOf } from './tower-weights.js';

const vision = {
  ...{ kind: 'vit', width: 384, depth: 12, patchSize: 16, imageSize: 224, preNorm: false, patchBias: true },
  ...{ activation: 'gelu', normEps: 1e-6 },
} as const;
const weights = (heads: number | undefined) =>
  ({ path: 'small.pt', model: { vision: { ...vision, heads } } }) as unknown as Weights;

test('the small tower has 12 heads, and 6 are refused however they are asked for', () => {
  assert.equal(towerOf(weights(12), {}).heads, 12);
  assert.equal(towerOf(weights(undefined), { arch: 'vit_small_mocov3_patch16_224' }).heads, 12);
  assert.equal(towerOf(weights(undefined), { heads: 12 }).heads, 12);
  const wrong: [Weights, { arch?: string; heads?: number }, RegExp][] = [
    [weights(12), { arch: 'vit_small_patch16_224' }, /has 6 heads, the small models of SLIP have 12/],
    [weights(12), { heads: 6 }, /trained with 12 heads, and 6 are asked for.*--vision-heads 12/],
    [weights(undefined), {}, /small.pt does not tell how many attention heads/],
    [weights(12), { arch: 'vit_base_patch16_224' }, /has 12 blocks of width 768, small.pt has 12 of 384/],
    [weights(12), { arch: 'resnet50' }, /--arch resnet50 is not known; there are vit_small_mocov3_patch16_224/],
  ];
  for (const [file, wanted, message] of wrong) assert.throws(() => towerOf(file, wanted), { message });
});

test('pictures are found in a folder or through a catalogue, and classes have to be the same', async (t) => {
  const folder = temporaryFolder(t);
  const put = (...parts: string[]) => {
    const file = path.join(folder, ...parts);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, '');
  };
  for (const split of ['train', 'val']) for (const name of ['cat', 'dog']) put('beasts', split, name, '1.png');
  put('beasts', 'train', 'cat', '2.png');
  const catalog = path.join(folder, 'dataset_catalog.json');
  const entry = { path: 'beasts', type: 'imagefolder', train: 'train', test: 'val' };
  writeFileSync(
    catalog,
    JSON.stringify({ beasts: entry, mnist: { path: 'x', type: 'odd' }, bad: { ...entry, test: 1 } }),
  );
  const place = { dataset: 'beasts', dataPath: '', catalog };
  for (const where of [place, { ...place, dataPath: path.join(folder, 'beasts'), catalog: '' }]) {
    const { train, validation, numClasses } = await openLabelledImages(where, 0, 'num-classes');
    assert.deepEqual([path.basename(train.root), validation.length, numClasses], ['train', 2, 2]);
  }
  assert.equal((await openLabelledImages(place, 1000, 'num-classes')).numClasses, 1000, 'as the original has it');
  const refused: [Parameters<typeof openLabelledImages>[0], number, RegExp][] = [
    [{ ...place, dataset: 'food' }, 0, /has no set food; it has beasts, mnist, bad/],
    [{ ...place, dataset: 'mnist' }, 0, /type "odd"; imagefolder and filelist are read, and special for cifar10/],
    [{ ...place, dataset: 'bad' }, 0, /needs "path", "train" and "test"/],
    [{ ...place, dataPath: folder }, 0, /has to have a folder train and one of val and test/],
    [place, 1, /--num-classes 1 is less than the 2 classes/],
  ];
  for (const [where, outputs, message] of refused)
    await assert.rejects(openLabelledImages(where, outputs, 'num-classes'), { message });
  put('beasts', 'val', 'bird', '1.png');
  await assert.rejects(openLabelledImages(place, 0, 'num-classes'), {
    message: /2 class folders and .* 3; .* number 0 is cat in one and bird in the other/,
  });
});

test('the mean over ranks of weighted sums is the mean over all rows, with padding and ranks without rows', () => {
  const losses = [1, 2, 3, 4, 5, 6, 7];
  for (const [capacity, shares] of [
    [3, [3, 3, 1]],
    [4, [4, 3, 0]],
    [7, [7]],
  ] as const) {
    let first = 0;
    let mean = 0;
    for (const own of shares) {
      const out = new Float32Array(capacity).fill(9);
      writeRowWeights(out, own, losses.length, shares.length);
      for (let i = 0; i < own; i++) mean += (out[i] * losses[first + i]) / shares.length;
      assert.ok(out.subarray(own).every((weight) => weight === 0));
      first += own;
    }
    assert.ok(Math.abs(mean - 4) < 1e-5, `${shares}: ${mean}`);
  }
});

test('the learning rate of linear probing changes with the epoch, not inside it', () => {
  const rate = cosineByEpoch(0.1, 4, 10);
  assert.deepEqual([rate(0), rate(9)], [0.1, 0.1]);
  for (const [epoch, expected] of [0.1, 0.0853553391, 0.05, 0.0146446609].entries())
    assert.ok(Math.abs(rate(10 * epoch) - expected) < 1e-9);
});

test("positions are interpolated as PyTorch's, the class token's left alone", () => {
  const { positions } = JSON.parse(
    readFileSync(new URL('../../../test/golden/classifier.json', import.meta.url), 'utf8'),
  ) as { positions: { width: number; results: { from: number; to: number; values: number[] }[] } };
  const { width } = positions;
  for (const { from, to, values } of positions.results) {
    const source = Float32Array.from({ length: (1 + from * from) * width }, (_, i) =>
      Math.sin(0.9 * Math.floor(i / width) + 0.4 * (i % width)),
    );
    const found = interpolatePositions(source, from, to, width);
    assert.equal(found.length, values.length);
    for (const [i, value] of values.entries()) assert.ok(Math.abs(found[i] - value) < 1e-6, `${from} to ${to}, ${i}`);
  }
});

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-classify-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
