// Bytes to normalised floats in channel planes, the last step of every view. Not an allocation: it writes into a slice
// of the batch.
import type { PixelImage } from './pixel-image.js';

export const IMAGE_MEAN = [0.485, 0.456, 0.406] as const;
export const IMAGE_STD = [0.229, 0.224, 0.225] as const;

/** ImageNet's mean and deviation, or 0.5 for both: bytes to -1..1. */
export type Normalisation = 'imagenet' | 'half';

/** The byte nearest to the mean of each channel: what geometric augmentation fills with. */
export const PADDING: Readonly<Record<Normalisation, readonly number[]>> = {
  imagenet: IMAGE_MEAN.map((mean) => Math.round(255 * mean)),
  half: [128, 128, 128],
};

/**
 * torchvision's `ToTensor` and `Normalize` in float32: planes R, G, B of `height * width` values from `out[offset]`.
 * @param flip mirrors left and right on the way
 */
export function toNormalisedTensor(
  image: PixelImage,
  out: Float32Array,
  offset: number,
  flip = false,
  normalisation: Normalisation = 'imagenet',
): void {
  const { width, height, channels, data } = image;
  const plane = width * height;
  for (let c = 0; c < 3; c++) {
    const table = NORMALISED[normalisation][c];
    const source = channels === 3 ? c : 0;
    let o = offset + c * plane;
    for (let y = 0; y < height; y++) {
      let p = y * width * channels + source;
      if (!flip) {
        for (let x = 0; x < width; x++, p += channels) out[o++] = table[data[p]];
      } else {
        p += (width - 1) * channels;
        for (let x = 0; x < width; x++, p -= channels) out[o++] = table[data[p]];
      }
    }
  }
}

/** For each channel what a byte becomes. */
export const NORMALISED: Readonly<Record<Normalisation, readonly Float32Array[]>> = {
  imagenet: tables(IMAGE_MEAN, IMAGE_STD),
  half: tables([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
};

function tables(mean: readonly number[], std: readonly number[]): Float32Array[] {
  const f = Math.fround;
  return [0, 1, 2].map((c) => Float32Array.from({ length: 256 }, (_, v) => f(f(f(v / 255) - f(mean[c])) / f(std[c]))));
}
