// The remaining single-image operations of Pillow's ImageOps and ImageEnhance that fine-tuning's RandAugment draws from:
// tables over bytes, and sharpness. Geometric ones are in affine.ts.
import { blend, mapBytes } from './colour.js';
import type { PixelImage } from './pixel-image.js';

/** Blends with a smoothed copy: below 1 softens, above 1 sharpens. Border pixels do not change. */
export function sharpness(image: PixelImage, factor: number): PixelImage {
  return blend(smooth(image), image, factor);
}

function smooth(image: PixelImage): PixelImage {
  const { width, height, channels, data } = image;
  const out = data.slice();
  const rowBytes = width * channels;
  const f = Math.fround;
  const side = f(1 / 13);
  const middle = f(5 / 13);
  for (let y = 1; y < height - 1; y++) {
    for (let i = channels; i < rowBytes - channels; i++) {
      let sum = f(0.5);
      for (let row = 1; row >= -1; row--) {
        const p = (y + row) * rowBytes + i;
        const centre = row === 0 ? middle : side;
        sum = f(sum + f(f(f(data[p - channels] * side) + f(data[p] * centre)) + f(data[p + channels] * side)));
      }
      out[y * rowBytes + i] = sum <= 0 ? 0 : sum >= 255 ? 255 : sum | 0;
    }
  }
  return { width, height, channels, data: out };
}

export function invert(image: PixelImage): PixelImage {
  return mapBytes(
    image,
    Uint8Array.from({ length: 256 }, (_, v) => 255 - v),
  );
}

/** Keeps the highest `bits` bits of each byte. */
export function posterize(image: PixelImage, bits: number): PixelImage {
  if (bits >= 8) return image;
  const mask = bits <= 0 ? 0 : ~((1 << (8 - bits)) - 1) & 255;
  return mapBytes(
    image,
    Uint8Array.from({ length: 256 }, (_, v) => v & mask),
  );
}

/** Inverts bytes from `threshold` up. */
export function solarize(image: PixelImage, threshold: number): PixelImage {
  return mapBytes(
    image,
    Uint8Array.from({ length: 256 }, (_, v) => (v < threshold ? v : 255 - v)),
  );
}

/** Adds to bytes below 128. */
export function solarizeAdd(image: PixelImage, amount: number): PixelImage {
  return mapBytes(
    image,
    Uint8Array.from({ length: 256 }, (_, v) => (v < 128 ? Math.min(255, v + amount) : v)),
  );
}

/** Stretches each channel to 0..255. */
export function autoContrast(image: PixelImage): PixelImage {
  return mapChannels(image, (histogram) => {
    const low = histogram.findIndex((count) => count > 0);
    const high = histogram.findLastIndex((count) => count > 0);
    if (high <= low) return (v) => v;
    const scale = 255 / (high - low);
    return (v) => Math.min(255, Math.max(0, Math.trunc(v * scale - low * scale)));
  });
}

/** Flattens the histogram of each channel. */
export function equalize(image: PixelImage): PixelImage {
  return mapChannels(image, (histogram) => {
    const filled = [...histogram].filter((count) => count > 0);
    const step = Math.floor((filled.reduce((a, b) => a + b, 0) - filled[filled.length - 1]) / 255);
    if (filled.length <= 1 || step === 0) return (v) => v;
    const below = new Float64Array(256);
    for (let v = 1; v < 256; v++) below[v] = below[v - 1] + histogram[v - 1];
    return (v) => Math.min(255, Math.floor((Math.floor(step / 2) + below[v]) / step));
  });
}

function mapChannels(image: PixelImage, tableOf: (histogram: Uint32Array) => (v: number) => number): PixelImage {
  const { channels, data } = image;
  const out = new Uint8Array(data.length);
  for (let c = 0; c < channels; c++) {
    const histogram = new Uint32Array(256);
    for (let i = c; i < data.length; i += channels) histogram[data[i]]++;
    const entry = tableOf(histogram);
    const table = Uint8Array.from({ length: 256 }, (_, v) => entry(v));
    for (let i = c; i < data.length; i += channels) out[i] = table[data[i]];
  }
  return { width: image.width, height: image.height, channels, data: out };
}
