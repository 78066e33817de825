// The three views of a training or evaluation sample: which transforms, in which order, with which draws. The pixel work
// is in the sibling files; here is only the recipe (reference 5.4).
import type { RandomStream } from '@slip/core';
import { gaussianBlur } from './blur.js';
import { brightness, contrast, grayscale, hue, saturation } from './colour.js';
import { centerCropBox, crop, randomCropBox, shortSideSize } from './geometry.js';
import type { PixelImage } from './pixel-image.js';
import { type ResizeFilter, resize } from './resize.js';
import { toNormalisedTensor } from './to-tensor.js';

/** Where a view's `3 * size * size` normalised floats go. */
export interface ViewTarget {
  readonly size: number;
  readonly out: Float32Array;
  readonly offset: number;
}

/** The image that is compared with the caption: a random crop of 50-100 % of the area, never flipped. */
export function clipView(image: PixelImage, stream: RandomStream, target: ViewTarget): void {
  const box = randomCropBox(stream, image.width, image.height, [0.5, 1]);
  const { size } = target;
  toNormalisedTensor(
    resize(image, { width: size, height: size, filter: 'bilinear', crop: box }),
    target.out,
    target.offset,
  );
}

/**
 * One self-supervised view: random crop of 8-100 %, colour jitter (p 0.8), grayscale (p 0.2), blur (p 0.5), flip
 * (p 0.5). The two views of a sample use two streams.
 */
export function sslView(image: PixelImage, stream: RandomStream, target: ViewTarget): void {
  const box = randomCropBox(stream, image.width, image.height, [0.08, 1]);
  const { size } = target;
  let view = resize(image, { width: size, height: size, filter: 'bilinear', crop: box });
  if (stream.uniform() <= 0.8) view = colourJitter(view, stream);
  if (stream.uniform() < 0.2) view = grayscale(view);
  if (stream.uniform() <= 0.5) view = gaussianBlur(view, stream.uniform(0.1, 2));
  const flip = stream.uniform() < 0.5;
  toNormalisedTensor(view, target.out, target.offset, flip);
}

/** torchvision's `ColorJitter(0.4, 0.4, 0.4, 0.1)`: order first, then the four factors, then applied in that order. */
function colourJitter(image: PixelImage, stream: RandomStream): PixelImage {
  const order = stream.permutation(4);
  const factors = [stream.uniform(0.6, 1.4), stream.uniform(0.6, 1.4), stream.uniform(0.6, 1.4)].map(Math.fround);
  const hueFactor = Math.fround(stream.uniform(-0.1, 0.1));
  let result = image;
  for (const which of order) {
    if (which === 0) result = brightness(result, factors[0]);
    else if (which === 1) result = contrast(result, factors[1]);
    else if (which === 2) result = saturation(result, factors[2]);
    else result = hue(result, hueFactor);
  }
  return result;
}

/**
 * Validation and zero-shot: short side to `resizeTo` (the target's size by default; 256 for linear evaluation at 224),
 * centre crop. Only the pixels inside the crop are computed.
 */
export function evalView(image: PixelImage, target: ViewTarget, resizeTo: number = target.size): void {
  toNormalisedTensor(evalPixels(image, target.size, resizeTo), target.out, target.offset);
}

/** The bytes behind {@link evalView}. */
export function evalPixels(
  image: PixelImage,
  size: number,
  resizeTo: number,
  filter: ResizeFilter = 'bilinear',
): PixelImage {
  const scaled = shortSideSize(image.width, image.height, resizeTo);
  const box = centerCropBox(scaled.width, scaled.height, size);
  const inside = box.left >= 0 && box.top >= 0 && box.left + size <= scaled.width && box.top + size <= scaled.height;
  if (inside) return resize(image, { ...scaled, filter, window: box });
  return crop(resize(image, { ...scaled, filter }), box);
}
