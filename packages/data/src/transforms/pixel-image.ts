// The image that all transforms work on: interleaved 8-bit rows in memory. Not a decoder and not a tensor.
import { invariant } from '@slip/core';

/** Row-major, channel-interleaved bytes: pixel (x, y) starts at `(y * width + x) * channels`. */
export interface PixelImage {
  readonly width: number;
  readonly height: number;
  /** 3 is RGB, 1 is luma (Pillow's modes RGB and L). */
  readonly channels: 1 | 3;
  /** `width * height * channels` bytes. */
  readonly data: Uint8Array;
}

/** An axis-aligned rectangle in pixels; `left` and `top` are inclusive. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Wraps bytes as an image after checking that they fit its size. */
export function pixelImage(width: number, height: number, channels: 1 | 3, data: Uint8Array): PixelImage {
  invariant(data.length === width * height * channels, `${data.length} bytes for ${width}x${height}x${channels}`);
  return { width, height, channels, data };
}
