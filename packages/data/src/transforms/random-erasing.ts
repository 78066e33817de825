// Random erasing (reference 6.4): rectangles of a normalised picture replaced by noise, a colour or zeros.
import type { RandomStream } from '@slip/core';
import { roundHalfEven } from './geometry.js';

export interface ErasingPolicy {
  readonly probability: number;
  readonly mode: 'pixel' | 'rand' | 'const';
  /** Rectangles at most; their areas shrink with their number. */
  readonly count: number;
}

const AREA = [0.02, 1 / 3] as const;
const LOG_ASPECT = Math.log(0.3);
const TRIES = 10;

/** In place, on planes R, G, B of `size` x `size` values from `out[offset]`. */
export function randomErasing(
  out: Float32Array,
  offset: number,
  size: number,
  stream: RandomStream,
  policy: ErasingPolicy,
): void {
  if (stream.uniform() > policy.probability) return;
  const count = policy.count === 1 ? 1 : 1 + stream.integer(policy.count);
  for (let i = 0; i < count; i++) {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const area = (stream.uniform(AREA[0], AREA[1]) * size * size) / count;
      const { width, height } = rectangleOf(area, Math.exp(stream.uniform(LOG_ASPECT, -LOG_ASPECT)));
      if (width >= size || height >= size) continue;
      const top = stream.integer(size - height + 1);
      const left = stream.integer(size - width + 1);
      fill(out, offset, size, { left, top, width, height }, stream, policy.mode);
      break;
    }
  }
}

/** Sides of a rectangle, rounded as Python does. @param aspect height to width */
export function rectangleOf(area: number, aspect: number): { width: number; height: number } {
  return { height: roundHalfEven(Math.sqrt(area * aspect)), width: roundHalfEven(Math.sqrt(area / aspect)) };
}

function fill(
  out: Float32Array,
  offset: number,
  size: number,
  box: { left: number; top: number; width: number; height: number },
  stream: RandomStream,
  mode: ErasingPolicy['mode'],
): void {
  for (let c = 0; c < 3; c++) {
    const colour = mode === 'rand' ? stream.normal() : 0;
    for (let y = box.top; y < box.top + box.height; y++) {
      const row = offset + (c * size + y) * size;
      for (let x = box.left; x < box.left + box.width; x++) out[row + x] = mode === 'pixel' ? stream.normal() : colour;
    }
  }
}
