// The three views of a training or evaluation sample: which transforms, in which order, with which draws. The pixel work
// is in the sibling files; here is only the recipe (reference 5.4).
import type { RandomStream } from '@slip/core';
import type { Shrink } from '../images/jpeg-decoder.js';
import { centerCropBox, crop, randomCropBox, shortSideSize } from './geometry.js';
import type { Box, PixelImage } from './pixel-image.js';
import { resize, threadBench } from './resize.js';
import type { ResizeFilter } from './resize-weights.js';
import { toNormalisedTensor } from './to-tensor.js';
import type { Workbench } from './workbench.js';

/** Where the `3 * size * size` normalised floats of an evaluation view go. */
export interface ViewTarget {
  readonly size: number;
  readonly out: Float32Array;
  readonly offset: number;
}

/** `exact` is Pillow's arithmetic to the bit, `fast` may shrink while decoding and blurs in one pass (docs/adr/0018). */
export type Transforms = 'fast' | 'exact';

export type ImageView = 'image' | 'aug1' | 'aug2';

/** Smallest and largest share of the area that a view shows. */
const SHARES: Readonly<Record<ImageView, readonly [number, number]>> = {
  image: [0.5, 1],
  aug1: [0.08, 1],
  aug2: [0.08, 1],
};

/** The part of a picture of this size that a view shows: the first draws of its stream. */
export function viewBox(view: ImageView, stream: RandomStream, width: number, height: number): Box {
  return randomCropBox(stream, width, height, SHARES[view]);
}

/** As far as every box has at least as many pixels as the views that are made of it. */
export function shrinkFor(boxes: readonly Box[], size: number): Shrink {
  const sides = boxes.flatMap(({ width, height }) => [width, height]);
  const fits = (shrink: Shrink) => sides.every((side) => side >= shrink * size);
  return ([8, 4, 2] as const).find(fits) ?? 1;
}

export interface ViewPlan {
  readonly view: ImageView;
  /** In pixels of the picture before it was shrunk. */
  readonly box: Box;
  readonly shrink: Shrink;
  readonly size: number;
  /** Byte in the workbench's memory where the `3 * size * size` normalised floats go. */
  readonly place: number;
}

/**
 * A view of the picture that the workbench holds. `image`, which is compared with the caption, is its box alone; a self-supervised
 * view goes through colour jitter (p 0.8), grayscale (p 0.2), blur (p 0.5) and flip (p 0.5).
 * @param stream after the draws of the box
 */
export function makeView(bench: Workbench, stream: RandomStream, plan: ViewPlan): void {
  const { view, box, shrink, size, place } = plan;
  const crop = {
    ...{ left: box.left / shrink, top: box.top / shrink },
    ...{ width: box.width / shrink, height: box.height / shrink },
  };
  bench.resize({ width: size, height: size, filter: 'bilinear', crop });
  if (view === 'image') {
    bench.write(place, false);
    return;
  }
  if (stream.uniform() <= 0.8) colourJitter(bench, stream);
  if (stream.uniform() < 0.2) bench.grayscale();
  if (stream.uniform() <= 0.5) bench.blur(stream.uniform(0.1, 2));
  bench.write(place, stream.uniform() < 0.5);
}

/** torchvision's `ColorJitter(0.4, 0.4, 0.4, 0.1)`: order first, then the four factors, then applied in that order. */
function colourJitter(bench: Workbench, stream: RandomStream): void {
  const order = stream.permutation(4);
  const factors = [stream.uniform(0.6, 1.4), stream.uniform(0.6, 1.4), stream.uniform(0.6, 1.4)].map(Math.fround);
  const hueFactor = Math.fround(stream.uniform(-0.1, 0.1));
  for (const which of order) {
    if (which === 0) bench.brightness(factors[0]);
    else if (which === 1) bench.contrast(factors[1]);
    else if (which === 2) bench.saturation(factors[2]);
    else bench.hue(hueFactor);
  }
}

/**
 * Validation and zero-shot: short side to `resizeTo` (the target's size by default; 256 for linear evaluation at 224),
 * centre crop. Only the pixels inside the crop are computed.
 */
export function evalView(image: PixelImage, { size, out, offset }: ViewTarget, resizeTo: number = size): void {
  const { scaled, box, inside } = evalBoxes(image, size, resizeTo);
  if (!inside) {
    toNormalisedTensor(evalPixels(image, size, resizeTo), out, offset);
    return;
  }
  const bench = threadBench();
  bench.hold(image);
  bench.resize({ ...scaled, filter: 'bilinear', window: box });
  bench.copy(out, offset, false);
}

/** The bytes behind {@link evalView}. */
export function evalPixels(
  image: PixelImage,
  size: number,
  resizeTo: number,
  filter: ResizeFilter = 'bilinear',
): PixelImage {
  const { scaled, box, inside } = evalBoxes(image, size, resizeTo);
  if (inside) return resize(image, { ...scaled, filter, window: box });
  return crop(resize(image, { ...scaled, filter }), box);
}

function evalBoxes(image: PixelImage, size: number, resizeTo: number) {
  const scaled = shortSideSize(image.width, image.height, resizeTo);
  const box = centerCropBox(scaled.width, scaled.height, size);
  const inside = box.left >= 0 && box.top >= 0 && box.left + size <= scaled.width && box.top + size <= scaled.height;
  return { scaled, box, inside };
}
