// Pillow's Gaussian blur: three passes of an extended box filter along rows, then three along columns, bytes rounded
// after each pass. Not a true Gaussian convolution, on purpose.
import type { PixelImage } from './pixel-image.js';

/** @param radius the standard deviation in pixels, Pillow's `GaussianBlur(radius)` */
export function gaussianBlur(image: PixelImage, radius: number): PixelImage {
  const box = boxWeights(radius);
  if (box === undefined) return image;
  let from = image.data;
  let to = new Uint8Array(from.length);
  let spare: Uint8Array<ArrayBufferLike> = new Uint8Array(from.length);
  for (let pass = 0; pass < 6; pass++) {
    if (pass < 3) blurRows(from, to, image, box);
    else blurColumns(from, to, image, box);
    const written = to;
    to = (from === image.data ? spare : from) as Uint8Array<ArrayBuffer>;
    spare = from;
    from = written;
  }
  return { width: image.width, height: image.height, channels: image.channels, data: from };
}

const PASSES = 3;

/** Radius of the box whose three-fold repetition has the variance of the Gaussian (float32 throughout). */
function boxRadius(sigma: number): number {
  const f = Math.fround;
  const variance = f(f(f(sigma) * f(sigma)) / PASSES);
  const length = f(Math.sqrt(12 * variance + 1));
  const whole = f(Math.floor((length - 1) / 2));
  const next = whole + 1;
  const numerator = f((2 * whole + 1) * f(whole * next - f(3 * variance)));
  const a = f(numerator / f(6 * f(variance - next * next)));
  return f(whole + a);
}

export interface BoxWeights {
  /** Whole pixels on either side. */
  readonly reach: number;
  /** 24-bit fixed-point weight of the inner pixels and of the two outermost ones. */
  readonly inner: number;
  readonly outer: number;
}

/** The box filter that is repeated for a standard deviation of `sigma`; undefined where it would change nothing. */
export function boxWeights(sigma: number): BoxWeights | undefined {
  const radius = boxRadius(sigma);
  if (radius <= 0) return undefined;
  const reach = Math.trunc(radius);
  // Divided in float32 too: near 2^24 that rounds to a whole number.
  const inner = Math.trunc(Math.fround(16777216 / Math.fround(radius * 2 + 1)));
  return { reach, inner, outer: Math.trunc((16777216 - (reach * 2 + 1) * inner) / 2) };
}

function blurRows(from: Uint8Array, to: Uint8Array, size: PixelImage, box: BoxWeights): void {
  const { width, height, channels } = size;
  const { reach, inner, outer } = box;
  const last = width - 1;
  for (let y = 0; y < height; y++) {
    for (let c = 0; c < channels; c++) {
      const start = y * width * channels + c;
      let sum = 0;
      for (let k = -reach - 1; k < reach; k++) sum += from[start + Math.min(Math.max(k, 0), last) * channels];
      for (let x = 0; x < width; x++) {
        const before = from[start + Math.max(x - reach - 1, 0) * channels];
        const after = from[start + Math.min(x + reach + 1, last) * channels];
        sum += from[start + Math.min(x + reach, last) * channels] - before;
        to[start + x * channels] = (Math.imul(inner, sum) + Math.imul(outer, before + after) + 8388608) >>> 24;
      }
    }
  }
}

function blurColumns(from: Uint8Array, to: Uint8Array, size: PixelImage, box: BoxWeights): void {
  const { height } = size;
  const { reach, inner, outer } = box;
  const rowBytes = size.width * size.channels;
  const last = height - 1;
  const rowAt = (y: number) => Math.min(Math.max(y, 0), last) * rowBytes;
  const sums = new Int32Array(rowBytes);
  for (let k = -reach - 1; k < reach; k++) {
    const row = rowAt(k);
    for (let i = 0; i < rowBytes; i++) sums[i] += from[row + i];
  }
  for (let y = 0; y < height; y++) {
    const before = rowAt(y - reach - 1);
    const newest = rowAt(y + reach);
    const after = rowAt(y + reach + 1);
    const out = y * rowBytes;
    for (let i = 0; i < rowBytes; i++) {
      const leaving = from[before + i];
      const sum = sums[i] + from[newest + i] - leaving;
      sums[i] = sum;
      to[out + i] = (Math.imul(inner, sum) + Math.imul(outer, leaving + from[after + i]) + 8388608) >>> 24;
    }
  }
}
