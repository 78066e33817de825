// The vector kernels against plain arithmetic on plain pictures: exact to the bit, fast within bounds that are stated.
import assert from 'node:assert/strict';
import test from 'node:test';
import { RandomStream } from '@slip/core';
import fc from 'fast-check';
import { createKernelMemory } from '../vector/kernel-memory.js';
import { gaussianBlur } from './blur.js';
import { brightness, contrast, grayscale, hue, saturation } from './colour.js';
import { type PixelImage, pixelImage } from './pixel-image.js';
import { type ResizeOptions, resizeWeights } from './resize-weights.js';
import { toNormalisedTensor } from './to-tensor.js';
import { makeView, shrinkFor, viewBox } from './views.js';
import { Workbench } from './workbench.js';

const exact = new Workbench(createKernelMemory(0), 0);
const fast = new Workbench(createKernelMemory(0), 0, 'fast');

function picture(width: number, height: number, seed: number): PixelImage {
  const stream = new RandomStream(seed, 'picture');
  const isSmooth = seed % 2 === 0;
  const data = Uint8Array.from({ length: 3 * width * height }, (_, i) =>
    isSmooth ? 128 + 127 * Math.sin(i / (9 + (seed % 50))) : stream.integer(256),
  );
  return pixelImage(width, height, 3, data);
}

/** Both passes, as Pillow makes them, one number after the other. */
function plainResize(image: PixelImage, options: ResizeOptions): PixelImage {
  const { left, top, window, columns, rows } = resizeWeights(image, options);
  const weigh = (weights: typeof columns, i: number, at: (k: number) => number) => {
    let sum = 1 << 21;
    for (let k = 0; k < weights.counts[i]; k++) {
      sum = (sum + Math.imul(weights.values[i * weights.stride + k], at(weights.starts[i] + k))) | 0;
    }
    return Math.min(255, Math.max(0, sum >> 22));
  };
  const narrow = (y: number, x: number, c: number) =>
    weigh(columns, x, (k) => image.data[3 * ((top + y) * image.width + left + k) + c]);
  const narrowed = new Uint8Array(3 * window.width * (rows.end + 1));
  for (let y = rows.first; y < rows.end; y++) {
    for (let i = 0; i < 3 * window.width; i++) narrowed[3 * window.width * y + i] = narrow(y, Math.floor(i / 3), i % 3);
  }
  const data = Uint8Array.from({ length: 3 * window.width * window.height }, (_, i) => {
    const [y, x] = [Math.floor(i / (3 * window.width)), i % (3 * window.width)];
    return weigh(rows, y, (k) => narrowed[3 * window.width * k + x]);
  });
  return pixelImage(window.width, window.height, 3, data);
}

const side = (max: number) => fc.integer({ min: 1, max });
const resizes = fc
  .record({
    ...{ width: side(150), height: side(150), toWidth: side(50), toHeight: side(50) },
    ...{ share: fc.double({ min: 0, max: 1, noNaN: true }), seed: fc.integer({ min: 0, max: 999 }) },
    filter: fc.constantFrom('bilinear' as const, 'bicubic' as const),
  })
  .map(({ width, height, toWidth, toHeight, share, seed, filter }) => {
    const [w, h] = [Math.ceil(width * share) || 1, Math.ceil(height * (1 - share)) || 1];
    const crop = { left: seed % (width - w + 1), top: seed % (height - h + 1), width: w, height: h };
    return { image: picture(width, height, seed), seed, options: { width: toWidth, height: toHeight, filter, crop } };
  });

test('every step is the plain one, bit for bit, at any size', () => {
  fc.assert(
    fc.property(resizes, ({ image, options, seed }) => {
      let view = plainResize(image, options);
      const same = (what: string) => assert.ok(Buffer.from(exact.pixels().data).equals(view.data), what);
      exact.hold(image);
      exact.resize(options);
      same('resize');
      const stream = new RandomStream(seed, 'steps');
      const factor = Math.fround(stream.uniform(0, 2));
      const turn = Math.fround(stream.uniform(-0.5, 0.5));
      const sigma = stream.uniform(0, 6);
      for (const [name, plain, step] of [
        ['brightness', brightness(view, factor), () => exact.brightness(factor)],
        ['contrast', undefined, () => exact.contrast(factor)],
        ['saturation', undefined, () => exact.saturation(factor)],
        ['hue', undefined, () => exact.hue(turn)],
        ['blur', undefined, () => exact.blur(sigma)],
        ['grayscale', undefined, () => exact.grayscale()],
      ] as const) {
        if (name === 'contrast') view = contrast(view, factor);
        else if (name === 'saturation') view = saturation(view, factor);
        else if (name === 'hue') view = hue(view, turn);
        else if (name === 'blur') view = gaussianBlur(view, sigma);
        else if (name === 'grayscale') view = grayscale(view);
        else view = plain!;
        step();
        same(name);
      }
      const [plain, out] = [0, 1].map(() => new Float32Array(2 + view.data.length));
      for (const flip of [false, true]) {
        toNormalisedTensor(view, plain, 1, flip, 'half');
        exact.copy(out, 1, flip, 'half');
        assert.deepEqual(out, plain);
      }
    }),
    { numRuns: 40 },
  );
});

test('hue is right for colours from all of the cube', () => {
  const data = new Uint8Array(3 * 52 ** 3);
  for (let i = 0; i < 52 ** 3; i++) {
    data[3 * i] = 5 * (i % 52);
    data[3 * i + 1] = 5 * (Math.floor(i / 52) % 52);
    data[3 * i + 2] = 5 * Math.floor(i / 52 ** 2);
  }
  const image = pixelImage(52 * 52, 52, 3, data);
  for (const turn of [-0.1, 0, 0.07]) {
    exact.hold(image);
    exact.resize({ width: image.width, height: image.height, filter: 'bilinear' });
    exact.hue(turn);
    assert.ok(Buffer.from(exact.pixels().data).equals(hue(image, turn).data), `${turn}`);
  }
});

test('a picture that is too large to be held is resized strip by strip, to the same bytes', () => {
  const data = new Uint8Array(3 * 40_000 * 400);
  data.set(picture(1_001, 1, 1).data);
  for (let filled = 3_003; filled < data.length; filled *= 2) data.copyWithin(filled, 0, filled);
  const image = pixelImage(40_000, 400, 3, data);
  const options = { width: 9, height: 11, filter: 'bilinear' as const };
  const crop = { left: 38_900, top: 5, width: 1_000, height: 390 };
  exact.hold(image);
  exact.resize({ ...options, crop });
  assert.deepEqual(exact.pixels(), plainResize(image, { ...options, crop }));
});

/** Mean and largest difference of bytes. */
function difference(step: (bench: Workbench) => void): { mean: number; max: number } {
  const [a, b] = [exact, fast].map((bench) => {
    step(bench);
    return bench.pixels().data;
  });
  const differences = a.map((value, i) => Math.abs(value - b[i]));
  return {
    mean: differences.reduce((sum, value) => sum + value, 0) / differences.length,
    max: differences.reduce((max, value) => Math.max(max, value), 0),
  };
}

test('fast is near to exact', () => {
  const image = picture(90, 70, 4);
  const begin = (bench: Workbench) => {
    bench.hold(image);
    bench.resize({ width: 64, height: 52, filter: 'bilinear', crop: { left: 3, top: 2, width: 80, height: 66 } });
  };
  const resized = difference(begin);
  assert.ok(resized.mean < 0.05 && resized.max <= 1, JSON.stringify(resized));
  for (const turn of [-0.1, 0, 0.1]) {
    const turned = difference((bench) => {
      begin(bench);
      bench.hue(turn);
    });
    assert.ok(turned.mean < 0.1 && turned.max <= 8, `hue ${turn}: ${JSON.stringify(turned)}`);
  }
  for (const sigma of [0.1, 0.5, 1, 1.5, 2]) {
    const blurred = difference((bench) => {
      begin(bench);
      bench.blur(sigma);
    });
    assert.ok(blurred.mean < 1 && blurred.max <= 24, `blur ${sigma}: ${JSON.stringify(blurred)}`);
  }
  const [a, b] = [exact, fast].map((bench) => {
    begin(bench);
    const out = new Float32Array(3 * 64 * 52);
    bench.copy(out, 0, true);
    return out;
  });
  for (let i = 0; i < a.length; i++) assert.ok(Math.abs(a[i] - b[i]) < 0.02);
});

test('what is flat stays flat, whatever is done to it', () => {
  const image = pixelImage(50, 40, 3, new Uint8Array(3 * 50 * 40).fill(137));
  for (const bench of [exact, fast]) {
    bench.hold(image);
    bench.resize({ width: 16, height: 24, filter: 'bilinear' });
    bench.blur(1.7);
    bench.hue(0.1);
    bench.saturation(1.3);
    assert.ok(bench.pixels().data.every((value) => value === 137));
  }
});

test('views depend on their stream alone and fill exactly their place; both arithmetics draw the same', () => {
  const size = 16;
  const image = picture(61, 47, 8);
  const run = (transforms: 'fast' | 'exact', view: 'image' | 'aug1', seed: number) => {
    const memory = createKernelMemory(0);
    const out = new Float32Array(memory.buffer, 0, 3 * size ** 2 + 32).fill(99);
    const bench = new Workbench(memory, 4 * out.length, transforms);
    const stream = new RandomStream(seed);
    const box = viewBox(view, stream, image.width, image.height);
    bench.hold(image);
    makeView(bench, stream, { view, box, shrink: 1, size, place: 64 });
    return { out: out.slice(), next: stream.uniform() };
  };
  for (const view of ['image', 'aug1'] as const) {
    for (const transforms of ['fast', 'exact'] as const) {
      const first = run(transforms, view, 3);
      assert.deepEqual(run(transforms, view, 3), first);
      assert.notDeepEqual(run(transforms, view, 4).out, first.out);
      const inside = first.out.subarray(16, 16 + 3 * size ** 2);
      assert.ok(!inside.includes(99) && first.out.filter((value) => value === 99).length === 32);
    }
    const [a, b] = [run('fast', view, 5), run('exact', view, 5)];
    assert.equal(a.next, b.next);
    for (let i = 0; i < a.out.length; i++) assert.ok(Math.abs(a.out[i] - b.out[i]) < 0.3, `${view} ${i}`);
  }
});

test('pictures are shrunk as far as the smallest box allows', () => {
  const box = (width: number, height: number) => ({ left: 0, top: 0, width, height });
  assert.equal(shrinkFor([box(447, 900)], 224), 1);
  assert.equal(shrinkFor([box(448, 900)], 224), 2);
  assert.equal(shrinkFor([box(4000, 4000), box(900, 896)], 224), 4);
  assert.equal(shrinkFor([box(4000, 4000)], 224), 8);
});
