// Moving pixels without changing them: crop, flip, the sizes and boxes of torchvision's Resize and CenterCrop, and the
// random crop's draws. Not resampling: see resize.ts.
import type { RandomStream } from '@slip/core';
import type { Box, PixelImage } from './pixel-image.js';

/** Copies a rectangle; parts of it outside the image are zero, as in Pillow. */
export function crop(image: PixelImage, box: Box): PixelImage {
  const { channels } = image;
  const data = new Uint8Array(box.width * box.height * channels);
  const firstColumn = Math.max(0, -box.left);
  const endColumn = Math.min(box.width, image.width - box.left);
  for (let y = Math.max(0, -box.top); y < Math.min(box.height, image.height - box.top); y++) {
    if (endColumn <= firstColumn) break;
    const from = ((box.top + y) * image.width + box.left + firstColumn) * channels;
    data.set(
      image.data.subarray(from, from + (endColumn - firstColumn) * channels),
      (y * box.width + firstColumn) * channels,
    );
  }
  return { width: box.width, height: box.height, channels, data };
}

/** Mirrors left and right. */
export function flipHorizontal(image: PixelImage): PixelImage {
  const { width, height, channels } = image;
  const data = new Uint8Array(image.data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * channels;
      const to = (y * width + width - 1 - x) * channels;
      for (let c = 0; c < channels; c++) data[to + c] = image.data[from + c];
    }
  }
  return { width, height, channels, data };
}

/** torchvision's `Resize(int)`: the shorter side becomes `size`, the longer one is truncated to an integer. */
export function shortSideSize(width: number, height: number, size: number): { width: number; height: number } {
  if (Math.min(width, height) === size) return { width, height };
  return width <= height
    ? { width: size, height: Math.trunc((size * height) / width) }
    : { width: Math.trunc((size * width) / height), height: size };
}

/** torchvision's `CenterCrop(size)` of an image; the box sticks out (zero padding) where the image is smaller. */
export function centerCropBox(width: number, height: number, size: number): Box {
  const padX = width < size ? Math.trunc((size - width) / 2) : 0;
  const padY = height < size ? Math.trunc((size - height) / 2) : 0;
  const left = width < size ? -padX : roundHalfEven((width - size) / 2);
  const top = height < size ? -padY : roundHalfEven((height - size) / 2);
  return { left, top, width: size, height: size };
}

/**
 * torchvision's `RandomResizedCrop.get_params` with aspect ratios 3/4..4/3: up to ten tries, then a centred fallback.
 * @param scale smallest and largest share of the area, for example `[0.08, 1]`
 */
export function randomCropBox(
  stream: RandomStream,
  width: number,
  height: number,
  scale: readonly [number, number],
): Box {
  const logRatio = [Math.fround(Math.log(Math.fround(3 / 4))), Math.fround(Math.log(Math.fround(4 / 3)))] as const;
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = width * height * Math.fround(stream.uniform(scale[0], scale[1]));
    const ratio = Math.fround(Math.exp(Math.fround(stream.uniform(logRatio[0], logRatio[1]))));
    const w = roundHalfEven(Math.sqrt(area * ratio));
    const h = roundHalfEven(Math.sqrt(area / ratio));
    if (w > 0 && w <= width && h > 0 && h <= height) {
      const top = stream.integer(height - h + 1);
      const left = stream.integer(width - w + 1);
      return { left, top, width: w, height: h };
    }
  }
  return fallbackCropBox(width, height);
}

function fallbackCropBox(width: number, height: number): Box {
  const ratio = width / height;
  const w = ratio > 4 / 3 ? roundHalfEven(height * (4 / 3)) : width;
  const h = ratio < 3 / 4 ? roundHalfEven(width / (3 / 4)) : height;
  return { left: (width - w) >> 1, top: (height - h) >> 1, width: w, height: h };
}

/** Python's `round`: halves go to the even neighbour. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
