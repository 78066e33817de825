// Pillow's colour enhancements and conversions, bit for bit: brightness, contrast, saturation, hue, grayscale. Each
// returns a new image; factors are applied as float32, as Pillow's C code does.
import type { PixelImage } from './pixel-image.js';

/** Luma of each pixel (ITU-R 601-2 in 16-bit fixed point), Pillow's `convert('L')`. */
export function luma(image: PixelImage): PixelImage {
  const { width, height, data } = image;
  if (image.channels === 1) return image;
  const out = new Uint8Array(width * height);
  for (let i = 0, p = 0; i < out.length; i++, p += 3) {
    out[i] = (19595 * data[p] + 38470 * data[p + 1] + 7471 * data[p + 2] + 32768) >> 16;
  }
  return { width, height, channels: 1, data: out };
}

/** Luma in all three channels. */
export function grayscale(image: PixelImage): PixelImage {
  return replicate(luma(image));
}

/** A one-channel image as RGB; RGB is returned as it is. */
export function replicate(image: PixelImage): PixelImage {
  if (image.channels === 3) return image;
  const data = new Uint8Array(image.data.length * 3);
  for (let i = 0, o = 0; i < image.data.length; i++, o += 3) data[o] = data[o + 1] = data[o + 2] = image.data[i];
  return { width: image.width, height: image.height, channels: 3, data };
}

/** Blends with black; 1 changes nothing. */
export function brightness(image: PixelImage, factor: number): PixelImage {
  return mapBytes(image, blendTable(0, factor));
}

/** Blends with the mean luma, rounded to a byte. */
export function contrast(image: PixelImage, factor: number): PixelImage {
  const grey = luma(image).data;
  let sum = 0;
  for (let i = 0; i < grey.length; i++) sum += grey[i];
  return mapBytes(image, blendTable(blendLevel(sum, grey.length), factor));
}

/** What contrast blends with: the mean luma, rounded. */
export function blendLevel(sumOfLuma: number, numPixels: number): number {
  return Math.trunc(sumOfLuma / numPixels + 0.5);
}

/** Blends with the image's own luma. */
export function saturation(image: PixelImage, factor: number): PixelImage {
  return blend(grayscale(image), image, factor);
}

/** `from + factor * (to - from)` per byte in float32, truncated; clipped where the factor is outside 0..1. */
export function blend(from: PixelImage, to: PixelImage, factor: number): PixelImage {
  const alpha = Math.fround(factor);
  if (alpha === 0) return from;
  if (alpha === 1) return to;
  const steps = new Float32Array(511);
  for (let d = -255; d <= 255; d++) steps[d + 255] = Math.fround(alpha * d);
  const a = from.data;
  const b = to.data;
  const data = new Uint8Array(a.length);
  for (let i = 0; i < data.length; i++) {
    const base = a[i];
    data[i] = truncateToByte(Math.fround(base + steps[b[i] - base + 255]));
  }
  return { width: to.width, height: to.height, channels: to.channels, data };
}

function blendTable(base: number, factor: number): Uint8Array {
  const alpha = Math.fround(factor);
  const table = new Uint8Array(256);
  for (let v = 0; v < 256; v++) table[v] = truncateToByte(Math.fround(base + Math.fround(alpha * (v - base))));
  return table;
}

/** Replaces each byte by the table's entry (256 of them). */
export function mapBytes(image: PixelImage, table: Uint8Array): PixelImage {
  const source = image.data;
  const data = new Uint8Array(source.length);
  for (let i = 0; i < data.length; i++) data[i] = table[source[i]];
  return { width: image.width, height: image.height, channels: image.channels, data };
}

function truncateToByte(value: number): number {
  return value <= 0 ? 0 : value >= 255 ? 255 : value | 0;
}

/**
 * Rotates the hue by a share of the circle through Pillow's 8-bit HSV, torchvision's `adjust_hue`.
 * @param factor -0.5..0.5; it acts as `trunc(factor * 255)` steps of 1/256
 */
export function hue(image: PixelImage, factor: number): PixelImage {
  const shift = Math.trunc(factor * 255) & 255;
  const { data } = image;
  const out = new Uint8Array(data.length);
  for (let p = 0; p < data.length; p += 3) {
    const r = data[p];
    const g = data[p + 1];
    const b = data[p + 2];
    const value = r > g ? Math.max(r, b) : Math.max(g, b);
    const least = r < g ? Math.min(r, b) : Math.min(g, b);
    const chroma = value - least;
    const sat = chroma === 0 ? 0 : Math.trunc(Math.fround(chroma / value) * 255);
    if (sat === 0) {
      out[p] = out[p + 1] = out[p + 2] = value;
      continue;
    }
    const angle = (hueByte(r, g, b, value, chroma) + shift) & 255;
    writeHsv(out, p, angle, sat, value);
  }
  return { width: image.width, height: image.height, channels: 3, data: out };
}

function hueByte(r: number, g: number, b: number, value: number, chroma: number): number {
  const rc = Math.fround((value - r) / chroma);
  const gc = Math.fround((value - g) / chroma);
  const bc = Math.fround((value - b) / chroma);
  const sector = Math.fround(r === value ? bc - gc : g === value ? 2 + rc - bc : 4 + gc - rc);
  const turns = sector / 6 + 1;
  return Math.trunc(Math.fround(turns - Math.floor(turns)) * 255);
}

function writeHsv(out: Uint8Array, p: number, angle: number, sat: number, value: number): void {
  const position = (angle * 6) / 255;
  const sector = Math.floor(position);
  const f = Math.fround(position - sector);
  const fs = Math.fround(sat / 255);
  const low = Math.floor(value * (1 - fs) + 0.5);
  const falling = Math.floor(value * (1 - Math.fround(fs * f)) + 0.5);
  const rising = Math.floor(value * (1 - fs * (1 - f)) + 0.5);
  const [r, g, b] = SECTORS[sector % 6];
  const colours = [value, low, falling, rising];
  out[p] = colours[r];
  out[p + 1] = colours[g];
  out[p + 2] = colours[b];
}

/** Which of (value, low, falling, rising) is red, green and blue in each sixth of the circle. */
const SECTORS = [
  [0, 3, 1],
  [2, 0, 1],
  [1, 0, 3],
  [1, 2, 0],
  [3, 1, 0],
  [0, 1, 2],
] as const;
