// Position embeddings of one resolution for another: PyTorch's bicubic interpolation (a = -0.75, half-pixel centres, no antialiasing), as
// BEiT's fine-tuning does it. The class token's stays as it is.

const A = -0.75;

/**
 * @param values [1 + from * from, width], class token first
 * @returns [1 + to * to, width]
 */
export function interpolatePositions(values: Float32Array, from: number, to: number, width: number): Float32Array {
  const out = new Float32Array((1 + to * to) * width);
  out.set(values.subarray(0, width));
  const taps = Array.from({ length: to }, (_, i) => tapsAt(((i + 0.5) * from) / to - 0.5, from));
  for (let y = 0; y < to; y++) {
    for (let x = 0; x < to; x++) {
      const place = (1 + y * to + x) * width;
      for (const [row, rowWeight] of taps[y]) {
        for (const [column, columnWeight] of taps[x]) {
          const source = (1 + row * from + column) * width;
          const weight = rowWeight * columnWeight;
          for (let c = 0; c < width; c++) out[place + c] += weight * values[source + c];
        }
      }
    }
  }
  return out;
}

/** The four neighbours of a place, those outside moved to the border, and their weights. */
function tapsAt(place: number, size: number): [index: number, weight: number][] {
  const first = Math.floor(place);
  const t = place - first;
  return [far(t + 1), near(t), near(1 - t), far(2 - t)].map((weight, k) => [
    Math.min(size - 1, Math.max(0, first - 1 + k)),
    weight,
  ]);
}

/** Weight of a neighbour at a distance of at most 1. */
function near(d: number): number {
  return ((A + 2) * d - (A + 3)) * d * d + 1;
}

/** Of one at a distance from 1 to 2. */
function far(d: number): number {
  return ((A * d - 5 * A) * d + 8 * A) * d - 4 * A;
}
