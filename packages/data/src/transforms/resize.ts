// Pillow's 8-bit separable resampling (bilinear, bicubic), bit for bit, of any part of an image into any part of the
// result. Not a geometric transform with interpolation: see affine.ts.
import { invariant } from '@slip/core';
import type { Box, PixelImage } from './pixel-image.js';

export type ResizeFilter = 'bilinear' | 'bicubic';

export interface ResizeOptions {
  /** Width and height of the whole result. */
  readonly width: number;
  readonly height: number;
  readonly filter: ResizeFilter;
  /** Part of the source that is resized, as if it had been cropped first; the whole image by default. */
  readonly crop?: Box;
  /** Part of the result that is computed, as if the result had been cropped afterwards; all of it by default. */
  readonly window?: Box;
}

/**
 * Resizes with antialiasing, bytes rounded between the horizontal and the vertical pass. A pass along a dimension that
 * does not change is skipped, and the horizontal pass covers only the rows that the vertical one reads.
 * @returns a new image of the window's size
 */
export function resize(source: PixelImage, options: ResizeOptions): PixelImage {
  const crop = options.crop ?? { left: 0, top: 0, width: source.width, height: source.height };
  const window = options.window ?? { left: 0, top: 0, width: options.width, height: options.height };
  checkInside(crop, source.width, source.height, 'crop');
  checkInside(window, options.width, options.height, 'window');
  const columns = weightsAlong(crop.width, options.width, window.left, window.width, options.filter);
  const rows = weightsAlong(crop.height, options.height, window.top, window.height, options.filter);
  const firstRow = rows.starts[0];
  const last = window.height - 1;
  const numRows = rows.starts[last] + rows.counts[last] - firstRow;
  const narrowed = horizontalPass(source, crop, firstRow, numRows, columns);
  return verticalPass(narrowed, firstRow, rows);
}

const PRECISION_BITS = 22;
const HALF = 1 << (PRECISION_BITS - 1);

/** For each output position: which inputs count, and their weights as 22-bit fixed point. */
interface Weights {
  readonly size: number;
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  /** `size * stride`, row i holding `counts[i]` weights. */
  readonly values: Int32Array;
  readonly stride: number;
  /** True when every output is one input, unchanged. */
  readonly identity: boolean;
}

function weightsAlong(inSize: number, outSize: number, first: number, size: number, filter: ResizeFilter): Weights {
  const starts = new Int32Array(size);
  const counts = new Int32Array(size);
  if (inSize === outSize) {
    for (let i = 0; i < size; i++) starts[i] = first + i;
    return { size, starts, counts: counts.fill(1), values: new Int32Array(0), stride: 0, identity: true };
  }
  const kernel = filter === 'bilinear' ? triangle : cubic;
  const scale = inSize / outSize;
  const stretch = Math.max(scale, 1);
  const support = (filter === 'bilinear' ? 1 : 2) * stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const values = new Int32Array(size * stride);
  const exact = new Float64Array(stride);
  for (let i = 0; i < size; i++) {
    const centre = (first + i + 0.5) * scale;
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
  }
  return { size, starts, counts, values, stride, identity: false };
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

function horizontalPass(
  source: PixelImage,
  crop: Box,
  firstRow: number,
  numRows: number,
  columns: Weights,
): PixelImage {
  const { channels, data } = source;
  const out = new Uint8Array(columns.size * numRows * channels);
  const rowBytes = source.width * channels;
  for (let y = 0; y < numRows; y++) {
    const rowStart = (crop.top + firstRow + y) * rowBytes + crop.left * channels;
    const outStart = y * columns.size * channels;
    if (columns.identity) {
      const from = rowStart + columns.starts[0] * channels;
      out.set(data.subarray(from, from + columns.size * channels), outStart);
    } else if (channels === 3) {
      narrowRgbRow(data, rowStart, out, outStart, columns);
    } else {
      narrowLumaRow(data, rowStart, out, outStart, columns);
    }
  }
  return { width: columns.size, height: numRows, channels, data: out };
}

function narrowRgbRow(data: Uint8Array, rowStart: number, out: Uint8Array, outStart: number, columns: Weights): void {
  const { size, starts, counts, values, stride } = columns;
  let o = outStart;
  for (let x = 0; x < size; x++) {
    let r = HALF;
    let g = HALF;
    let b = HALF;
    let p = rowStart + starts[x] * 3;
    const weightStart = x * stride;
    const weightEnd = weightStart + counts[x];
    for (let k = weightStart; k < weightEnd; k++) {
      const weight = values[k];
      r = (r + Math.imul(weight, data[p])) | 0;
      g = (g + Math.imul(weight, data[p + 1])) | 0;
      b = (b + Math.imul(weight, data[p + 2])) | 0;
      p += 3;
    }
    out[o] = toByte(r);
    out[o + 1] = toByte(g);
    out[o + 2] = toByte(b);
    o += 3;
  }
}

function narrowLumaRow(data: Uint8Array, rowStart: number, out: Uint8Array, outStart: number, columns: Weights): void {
  for (let x = 0; x < columns.size; x++) {
    let sum = HALF;
    for (let k = 0; k < columns.counts[x]; k++) {
      sum = (sum + Math.imul(columns.values[x * columns.stride + k], data[rowStart + columns.starts[x] + k])) | 0;
    }
    out[outStart + x] = toByte(sum);
  }
}

function verticalPass(image: PixelImage, firstRow: number, rows: Weights): PixelImage {
  const { width, channels, data } = image;
  if (rows.identity) return image;
  const rowBytes = width * channels;
  const out = new Uint8Array(rowBytes * rows.size);
  const sums = new Int32Array(rowBytes);
  for (let y = 0; y < rows.size; y++) {
    sums.fill(HALF);
    for (let k = 0; k < rows.counts[y]; k++) {
      const weight = rows.values[y * rows.stride + k];
      const start = (rows.starts[y] - firstRow + k) * rowBytes;
      for (let i = 0; i < rowBytes; i++) sums[i] = (sums[i] + Math.imul(weight, data[start + i])) | 0;
    }
    const outStart = y * rowBytes;
    for (let i = 0; i < rowBytes; i++) out[outStart + i] = toByte(sums[i]);
  }
  return { width, height: rows.size, channels, data: out };
}

function toByte(sum: number): number {
  const value = sum >> PRECISION_BITS;
  return Math.min(255, Math.max(0, value));
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
