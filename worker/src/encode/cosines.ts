// From unit vectors to probabilities of labels, and to the nearest of many rows. Pure.
import type { FloatMatrix } from '@slip/data';

/** Softmax of the scaled cosines. @param feature a unit vector. @param labels unit vectors, [labels, width] */
export function probabilitiesOf(feature: Float32Array, labels: Float32Array, logitScale: number): number[] {
  const logits = cosinesOf(feature, labels).map((cosine) => logitScale * cosine);
  const best = logits.reduce((a, b) => Math.max(a, b));
  const weights = logits.map((logit) => Math.exp(logit - best));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

function cosinesOf(feature: Float32Array, rows: Float32Array): number[] {
  const width = feature.length;
  return Array.from({ length: rows.length / width }, (_, row) => dot(feature, rows, row * width));
}

/** Of `vector` with as many numbers of `rows` from `offset` on. */
export function dot(vector: Float32Array, rows: Float32Array, offset: number): number {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += vector[i] * rows[offset + i];
  return sum;
}

export interface Found {
  readonly row: number;
  /** Cosine. */
  readonly score: number;
}

/** The rows nearest to a unit vector, best first; equals in their own order. @param matrix of unit rows */
export function nearestRows(vector: Float32Array, { rows, width, values }: FloatMatrix, count: number): Found[] {
  const best: Found[] = [];
  for (let row = 0; row < rows; row++) {
    const score = dot(vector, values, row * width);
    if (best.length === count && score <= best[count - 1].score) continue;
    let at = best.length;
    while (at > 0 && best[at - 1].score < score) at -= 1;
    best.splice(at, 0, { row, score });
    if (best.length > count) best.pop();
  }
  return best;
}
