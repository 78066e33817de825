// Which inputs make an output of a resize, and with what weights, as Pillow computes them: antialiased bilinear and bicubic in 22-bit
// fixed point. Not the passes over pixels: see workbench.ts.
import { invariant } from '@slip/core';
import type { Box } from './pixel-image.js';

export type ResizeFilter = 'bilinear' | 'bicubic';

export interface ResizeOptions {
  /** Width and height of the whole result. */
  readonly width: number;
  readonly height: number;
  readonly filter: ResizeFilter;
  /** Part of the source that is resized, as if it had been cropped first; the whole image by default. Of fractions, too. */
  readonly crop?: Box;
  /** Part of the result that is computed, as if the result had been cropped afterwards; all of it by default. */
  readonly window?: Box;
}

/** For each output along one dimension: which inputs count, and their weights. */
export interface ResizeWeights {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  /** Row i, of `stride`, holds `counts[i]` weights of 2^22. */
  readonly values: Int32Array;
  readonly stride: number;
  /** As many pairs of inputs hold the longest row. */
  readonly pairs: number;
  /** All inputs that count are in [first, end). */
  readonly first: number;
  readonly end: number;
}

const PRECISION_BITS = 22;

/** Both dimensions, with the boxes filled in and checked. */
export function resizeWeights(source: { readonly width: number; readonly height: number }, options: ResizeOptions) {
  const crop = options.crop ?? { left: 0, top: 0, width: source.width, height: source.height };
  const window = options.window ?? { left: 0, top: 0, width: options.width, height: options.height };
  checkInside(crop, source.width, source.height, 'crop');
  checkInside(window, options.width, options.height, 'window');
  const { filter } = options;
  // Where a picture was shrunk, a crop of whole pixels of the original may begin and end inside a pixel.
  const [left, top] = [Math.floor(crop.left), Math.floor(crop.top)];
  const along = (begin: number, extent: number, outSize: number, outFirst: number, outCount: number) => {
    const origin = Math.floor(begin);
    return weightsAlong({
      ...{ begin: begin - origin, extent, inSize: Math.ceil(begin + extent) - origin },
      ...{ outSize, outFirst, outCount, filter },
    });
  };
  return {
    ...{ left, top, window },
    columns: along(crop.left, crop.width, options.width, window.left, window.width),
    rows: along(crop.top, crop.height, options.height, window.top, window.height),
  };
}

interface Along {
  /** Inputs, and the stretch of them, in pixels, that is resized. */
  readonly inSize: number;
  readonly begin: number;
  readonly extent: number;
  readonly outSize: number;
  /** Part of the outputs that is wanted. */
  readonly outFirst: number;
  readonly outCount: number;
  readonly filter: ResizeFilter;
}

function weightsAlong({ inSize, begin, extent, outSize, outFirst, outCount: size, filter }: Along): ResizeWeights {
  const starts = new Int32Array(size);
  const counts = new Int32Array(size);
  const kernel = filter === 'bilinear' ? triangle : cubic;
  const scale = extent / outSize;
  const stretch = Math.max(scale, 1);
  const support = (filter === 'bilinear' ? 1 : 2) * stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const values = new Int32Array(size * stride);
  const exact = new Float64Array(stride);
  let longest = 1;
  for (let i = 0; i < size; i++) {
    if (inSize === outSize && extent === outSize) {
      // Pillow skips such a pass: each output is its input.
      starts[i] = outFirst + i;
      counts[i] = 1;
      values[i * stride] = 1 << PRECISION_BITS;
      continue;
    }
    const centre = begin + (outFirst + i + 0.5) * scale;
    const start = Math.max(0, Math.floor(centre - support + 0.5));
    const count = Math.min(inSize, Math.floor(centre + support + 0.5)) - start;
    let sum = 0;
    for (let k = 0; k < count; k++) {
      exact[k] = kernel((k + start - centre + 0.5) * (1 / stretch));
      sum += exact[k];
    }
    for (let k = 0; k < count; k++) {
      const scaled = (sum === 0 ? exact[k] : exact[k] / sum) * (1 << PRECISION_BITS);
      values[i * stride + k] = Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    starts[i] = start;
    counts[i] = count;
    longest = Math.max(longest, count);
  }
  const end = starts[size - 1] + counts[size - 1];
  return { starts, counts, values, stride, pairs: Math.ceil(longest / 2), first: starts[0], end };
}

function triangle(x: number): number {
  const distance = Math.abs(x);
  return distance < 1 ? 1 - distance : 0;
}

function cubic(x: number): number {
  const a = -0.5;
  const d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
}

function checkInside(box: Box, width: number, height: number, what: string): void {
  const inside =
    box.left >= 0 &&
    box.top >= 0 &&
    box.width > 0 &&
    box.height > 0 &&
    box.left + box.width <= width &&
    box.top + box.height <= height;
  invariant(inside, `${what} ${box.width}x${box.height}+${box.left}+${box.top} outside ${width}x${height}`);
}
