// Every transform against bytes that Pillow 8.4 produced, and the views' own promises.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { RandomStream } from '@slip/core';
import { affine, rotate } from './affine.js';
import { autoContrast, equalize, invert, posterize, sharpness, solarize, solarizeAdd } from './augment-ops.js';
import { gaussianBlur } from './blur.js';
import { brightness, contrast, hue, luma, saturation } from './colour.js';
import { centerCropBox, crop, flipHorizontal, randomCropBox, roundHalfEven, shortSideSize } from './geometry.js';
import { type PixelImage, pixelImage } from './pixel-image.js';
import { resize } from './resize.js';
import { toNormalisedTensor } from './to-tensor.js';
import { evalPixels, evalView } from './views.js';

interface PillowCase {
  op: string;
  src: [number, number];
  out: { size: [number, number]; mode: string; sha256: string; data?: number[] };
}

const golden = JSON.parse(readFileSync(new URL('../../../../test/golden/vectors.json', import.meta.url), 'utf8')) as {
  pillow: { cases: PillowCase[] };
};

/** The synthetic source image of the vectors. */
function pattern(width: number, height: number): PixelImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) data[(y * width + x) * 3 + c] = 7 * x + 13 * y + 29 * c + 5 * ((x * y) % 31);
  return pixelImage(width, height, 3, data);
}

const FILL = [124, 116, 104];

/** Reads the operation's name as the vectors spell it. */
function applyNamed(op: string, image: PixelImage): PixelImage {
  const number = Number(/-?\d+(\.\d+)?/.exec(op)?.[0]);
  const filter = op.includes('bicubic') ? 'bicubic' : 'bilinear';
  const size = /\(w(\d+),h(\d+)\)/.exec(op) ?? /\(w(\d+),h(\d+)\)/.exec(op);
  const box = /left=(\d+),top=(\d+),w=(\d+),h=(\d+)/.exec(op)?.slice(1).map(Number);
  if (op.startsWith('torchvision Resize(224)'))
    return resize(image, { ...shortSideSize(image.width, image.height, 224), filter });
  if (box) {
    const out = /\(w(\d+),h(\d+)\)/.exec(op) ?? ['', '', ''];
    const [left, top, width, height] = box;
    return resize(image, { width: Number(out[1]), height: Number(out[2]), filter, crop: { left, top, width, height } });
  }
  if (op.startsWith('resize') && size)
    return resize(image, { width: Number(size[1]), height: Number(size[2]), filter });
  if (op === 'convert L') return luma(image);
  if (op.startsWith('brightness')) return brightness(image, number);
  if (op.startsWith('contrast')) return contrast(image, number);
  if (op.startsWith('color')) return saturation(image, number);
  if (op.startsWith('sharpness')) return sharpness(image, number);
  if (op.startsWith('hue')) return hue(image, number);
  if (op.startsWith('GaussianBlur')) return gaussianBlur(image, number);
  if (op === 'equalize') return equalize(image);
  if (op === 'invert') return invert(image);
  if (op.startsWith('solarize')) return solarize(image, number);
  if (op.startsWith('affine shear_x')) return affine(image, [1, number, 0, 0, 1, 0], FILL);
  if (op.startsWith('rotate')) return rotate(image, number, FILL);
  throw new Error(`the test does not know "${op}"`);
}

test('all Pillow vectors are reproduced bit for bit', () => {
  const wrong: string[] = [];
  for (const { op, src, out } of golden.pillow.cases) {
    const result = applyNamed(op, pattern(src[0], src[1]));
    const hash = createHash('sha256').update(result.data).digest('hex');
    const same = result.width === out.size[0] && result.height === out.size[1] && hash === out.sha256;
    if (!same) wrong.push(`${op} of ${src}: ${[...result.data.subarray(0, 12)]} for ${out.data?.slice(0, 12)}`);
  }
  assert.deepEqual(wrong, []);
  assert.equal(golden.pillow.cases.length, 42);
});

test('a window of a resize equals the crop of the whole resize', () => {
  const image = pattern(61, 47);
  const whole = resize(image, { width: 33, height: 29, filter: 'bicubic' });
  const window = { left: 7, top: 11, width: 20, height: 9 };
  assert.deepEqual(resize(image, { width: 33, height: 29, filter: 'bicubic', window }), crop(whole, window));
});

test('crops outside the image are black, and two flips are none', () => {
  const image = pattern(3, 2);
  const padded = crop(image, { left: -1, top: -1, width: 5, height: 4 });
  assert.deepEqual([...padded.data.subarray(0, 18)], new Array(18).fill(0));
  assert.deepEqual(crop(padded, { left: 1, top: 1, width: 3, height: 2 }), image);
  assert.deepEqual(flipHorizontal(flipHorizontal(image)), image);
  assert.deepEqual([...flipHorizontal(image).data.subarray(0, 3)], [...image.data.subarray(6, 9)]);
});

test('sizes and boxes follow torchvision, halves rounding to even', () => {
  assert.deepEqual([0.5, 1.5, 2.5, -0.5].map(roundHalfEven).map(Math.abs), [0, 2, 2, 0]);
  assert.deepEqual(shortSideSize(500, 375, 224), { width: 298, height: 224 });
  assert.deepEqual(shortSideSize(224, 300, 224), { width: 224, height: 300 });
  assert.deepEqual(centerCropBox(227, 225, 224), { left: 2, top: 0, width: 224, height: 224 });
  assert.deepEqual(centerCropBox(100, 300, 224), { left: -62, top: 38, width: 224, height: 224 });
});

test('random crops stay inside, reach the promised share of the area, and fall back on extreme shapes', () => {
  for (let i = 0; i < 500; i++) {
    const box = randomCropBox(new RandomStream(1, i), 320, 240, [0.5, 1]);
    assert.ok(box.left >= 0 && box.top >= 0 && box.left + box.width <= 320 && box.top + box.height <= 240);
    const share = (box.width * box.height) / (320 * 240);
    const ratio = box.width / box.height;
    assert.ok(share > 0.49 && share <= 1 && ratio > 0.74 && ratio < 1.35, `${share} ${ratio}`);
  }
  const strip = randomCropBox(new RandomStream(2), 1000, 2, [0.5, 1]);
  assert.deepEqual(strip, { left: 498, top: 0, width: 3, height: 2 });
});

test('table operations keep their definitions', () => {
  const ramp = pixelImage(4, 1, 1, Uint8Array.from([50, 100, 150, 200]));
  assert.deepEqual([...autoContrast(ramp).data], [0, 85, 170, 255]);
  assert.deepEqual([...posterize(ramp, 2).data], [0, 64, 128, 192]);
  assert.deepEqual([...solarizeAdd(ramp, 40).data], [90, 140, 150, 200]);
  assert.deepEqual([...luma(ramp).data], [...ramp.data]);
});

test('the tensor holds (v/255 - mean)/std in channel planes, mirrored on request', () => {
  const image = pixelImage(2, 1, 3, Uint8Array.from([0, 128, 255, 255, 0, 64]));
  const out = new Float32Array(8).fill(9);
  toNormalisedTensor(image, out, 1);
  const expected = [
    (0 - 0.485) / 0.229,
    (1 - 0.485) / 0.229,
    (128 / 255 - 0.456) / 0.224,
    (0 - 0.456) / 0.224,
    (1 - 0.406) / 0.225,
    (64 / 255 - 0.406) / 0.225,
  ];
  for (let i = 0; i < 6; i++) assert.ok(Math.abs(out[i + 1] - expected[i]) < 1e-6);
  assert.deepEqual([out[0], out[7]], [9, 9]);
  const mirrored = new Float32Array(6);
  toNormalisedTensor(image, mirrored, 0, true);
  assert.deepEqual([...mirrored], [out[2], out[1], out[4], out[3], out[6], out[5]]);
});

test('the evaluation view is the centre crop of the whole resize, padded where the image is too small', () => {
  const image = pattern(61, 47);
  const scaled = shortSideSize(61, 47, 40);
  const whole = resize(image, { ...scaled, filter: 'bilinear' });
  assert.deepEqual(evalPixels(image, 32, 40), crop(whole, centerCropBox(scaled.width, scaled.height, 32)));
  assert.equal(evalPixels(image, 64, 40).data[0], 0);
  const out = new Float32Array(3 * 40 * 40);
  evalView(image, { size: 40, out, offset: 0 });
  assert.ok(out.every(Number.isFinite));
});
