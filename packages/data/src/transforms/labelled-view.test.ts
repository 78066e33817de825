// The views of labelled pictures: RandAugment's operations against Pillow (test/golden/classifier.json), its draws, erasing, and
// that a view is a function of its stream.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { RandomStream, SlipError } from '@slip/core';
import { type LabelledView, labelledEvalView, labelledTrainView } from './labelled-view.js';
import { type PixelImage, pixelImage } from './pixel-image.js';
import { OPERATIONS, parseRandAugment, randAugment } from './rand-augment.js';
import { randomErasing, rectangleOf } from './random-erasing.js';
import { PADDING } from './to-tensor.js';
import { evalView } from './views.js';

const golden = JSON.parse(
  readFileSync(new URL('../../../../test/golden/classifier.json', import.meta.url), 'utf8'),
) as { augmentations: { name: string; magnitude: number; sign: 1 | -1; sha256: string }[] };

/** The synthetic source image of the vectors. */
function pattern(width = 61, height = 47): PixelImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) data[(y * width + x) * 3 + c] = 7 * x + 13 * y + 29 * c + 5 * ((x * y) % 31);
  return pixelImage(width, height, 3, data);
}

test("RandAugment's fifteen operations are Pillow's, bit for bit", () => {
  const wrong: string[] = [];
  for (const { name, magnitude, sign, sha256 } of golden.augmentations) {
    const result = OPERATIONS[name](pattern(), magnitude, sign, PADDING.imagenet);
    if (createHash('sha256').update(result.data).digest('hex') !== sha256) wrong.push(`${name} ${magnitude} ${sign}`);
  }
  assert.deepEqual(wrong, []);
  assert.equal(golden.augmentations.length, 45);
  assert.deepEqual(new Set(golden.augmentations.map(({ name }) => name)), new Set(Object.keys(OPERATIONS)));
});

test("timm's notation is read, and what is not there is refused by name", () => {
  assert.deepEqual(parseRandAugment('rand-m9-mstd0.5-inc1'), { magnitude: 9, deviation: 0.5, operations: 2 });
  assert.deepEqual(parseRandAugment('rand-m7-n3-inc1'), { magnitude: 7, deviation: 0, operations: 3 });
  assert.equal(parseRandAugment('none'), undefined);
  for (const [text, message] of [
    ['original', /--aa original: only RandAugment is there/],
    ['rand-m9', /add -inc1/],
    ['rand-m9-x3-inc1', /"x3" is not understood/],
  ] as const) {
    assert.throws(
      () => parseRandAugment(text),
      (error) => error instanceof SlipError && message.test(error.message),
    );
  }
});

test('each of two operations is left out half of the time', () => {
  const image = pattern(9, 7);
  let same = 0;
  for (let i = 0; i < 600; i++) {
    const policy = { magnitude: 9, deviation: 0.5, operations: 2 };
    if (randAugment(image, new RandomStream('rand', i), policy, PADDING.imagenet) === image) same += 1;
  }
  assert.ok(Math.abs(same / 600 - 0.25) < 0.06, `${same} of 600 are untouched`);
});

test('erasing fills a rectangle of the promised area with the promised values', () => {
  assert.deepEqual(rectangleOf(32, 2), { height: 8, width: 4 });
  const size = 32;
  let erased = 0;
  for (let i = 0; i < 300; i++) {
    const out = new Float32Array(3 * size * size + 2).fill(7);
    randomErasing(out, 1, size, new RandomStream('erase', i), { probability: 0.25, mode: 'const', count: 1 });
    const zeros = out.filter((value) => value === 0).length / 3;
    assert.deepEqual([out[0], out.at(-1)], [7, 7]);
    if (zeros === 0) continue;
    erased += 1;
    assert.ok(zeros > 0.015 * size * size && zeros < 0.37 * size * size, `${zeros} pixels`);
  }
  assert.ok(Math.abs(erased / 300 - 0.25) < 0.08, `${erased} of 300`);
  const noise = new Float32Array(3 * size * size).fill(7);
  randomErasing(noise, 0, size, new RandomStream('erase'), { probability: 1, mode: 'pixel', count: 1 });
  const values = noise.filter((value) => value !== 7);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  assert.ok(Math.abs(mean) < 0.2 && Math.abs(deviation - 1) < 0.2, `${mean} ${deviation}`);
});

test('a view is a function of its stream; without augmentation it is that of validation', () => {
  const plain: LabelledView = { filter: 'bilinear', normalisation: 'imagenet', resizeTo: 16 };
  const augment = {
    randAugment: parseRandAugment('rand-m9-mstd0.5-inc1')!,
    erasing: { probability: 1, mode: 'pixel', count: 2 } as const,
  };
  const run = (view: LabelledView, seed: number) => {
    const out = new Float32Array(3 * 16 * 16);
    labelledTrainView(pattern(), new RandomStream(seed), { size: 16, out, offset: 0 }, view);
    return out;
  };
  for (const filter of ['bilinear', 'bicubic'] as const) {
    const view: LabelledView = { filter, normalisation: 'half', resizeTo: 18, augment };
    assert.deepEqual(run(view, 1), run(view, 1));
    assert.notDeepEqual(run(view, 1), run(view, 2));
  }
  const zeroShot = new Float32Array(3 * 16 * 16);
  evalView(pattern(), { size: 16, out: zeroShot, offset: 0 });
  assert.deepEqual(run(plain, 1), zeroShot);
  const halves = new Float32Array(3 * 16 * 16);
  labelledEvalView(pattern(), { size: 16, out: halves, offset: 0 }, { ...plain, normalisation: 'half' });
  assert.ok(Math.max(...halves) <= 1 && Math.min(...halves) >= -1);
  // The same bytes in both scales: (v - mean) / std of red, and 2 v - 1.
  assert.ok(Math.abs((halves[5] + 1) / 2 - (zeroShot[5] * 0.229 + 0.485)) < 1e-6);
});
