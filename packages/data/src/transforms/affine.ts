// Pillow's affine transform with bicubic interpolation (a = -1, no antialiasing) and a fill colour, as RandAugment's
// shear, translate and rotate use it. Not for scaling: see resize.ts.
import type { PixelImage } from './pixel-image.js';

/** Output to input: `x' = a(x + 1/2) + b(y + 1/2) + c`, `y' = d(x + 1/2) + e(y + 1/2) + f`. */
export type AffineMatrix = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/** @param fill the colour outside the source, one byte per channel */
export function affine(image: PixelImage, matrix: AffineMatrix, fill: readonly number[]): PixelImage {
  const { width, height, channels } = image;
  const [a, b, c, d, e, f] = matrix;
  const out = new Uint8Array(image.data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const xin = a * (x + 0.5) + b * (y + 0.5) + c;
      const yin = d * (x + 0.5) + e * (y + 0.5) + f;
      const o = (y * width + x) * channels;
      const inside = xin >= 0 && xin < width && yin >= 0 && yin < height;
      for (let ch = 0; ch < channels; ch++) out[o + ch] = inside ? sample(image, xin - 0.5, yin - 0.5, ch) : fill[ch];
    }
  }
  return { width, height, channels, data: out };
}

/** Rotates about the centre, counter-clockwise, keeping the size. */
export function rotate(image: PixelImage, degrees: number, fill: readonly number[]): PixelImage {
  const angle = (-(((degrees % 360) + 360) % 360) * Math.PI) / 180;
  if (angle === 0) return image;
  const cos = round15(Math.cos(angle));
  const sin = round15(Math.sin(angle));
  const cx = image.width / 2;
  const cy = image.height / 2;
  return affine(image, [cos, sin, cos * -cx + sin * -cy + cx, -sin, cos, -sin * -cx + cos * -cy + cy], fill);
}

/** Python rounds the matrix to 15 decimals so that right angles are exact. */
function round15(value: number): number {
  return Number(value.toFixed(15));
}

function sample(image: PixelImage, xin: number, yin: number, channel: number): number {
  const { height } = image;
  const x = Math.floor(xin);
  const y = Math.floor(yin);
  const dx = xin - x;
  const row = (which: number) => cubicAt(image, x, which, dx, channel);
  const v1 = row(Math.min(Math.max(y - 1, 0), height - 1));
  // A later row outside the image repeats the value before it, as Pillow does.
  const v2 = y >= 0 && y < height ? row(y) : v1;
  const v3 = y + 1 >= 0 && y + 1 < height ? row(y + 1) : v2;
  const v4 = y + 2 >= 0 && y + 2 < height ? row(y + 2) : v3;
  const value = cubic(v1, v2, v3, v4, yin - y);
  return value <= 0 ? 0 : value >= 255 ? 255 : Math.trunc(value);
}

function cubicAt(image: PixelImage, x: number, y: number, dx: number, channel: number): number {
  const { width, channels, data } = image;
  const at = (column: number) => data[(y * width + Math.min(Math.max(column, 0), width - 1)) * channels + channel];
  return cubic(at(x - 1), at(x), at(x + 1), at(x + 2), dx);
}

function cubic(v1: number, v2: number, v3: number, v4: number, d: number): number {
  return v2 + d * (-v1 + v3 + d * (2 * (v1 - v2) + v3 - v4 + d * (-v1 + v2 - v3 + v4)));
}
