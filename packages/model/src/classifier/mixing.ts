// Mixup and CutMix (reference 6.4): what is drawn, which rows are mixed, and the targets that follow. Pure: whoever feeds the step
// has the draws from here, and they depend on the place of a row in the micro-batch, never on ranks.
import { invariant, type RandomStream } from '@slip/core';

export interface MixingPolicy {
  /** Alpha of mixup; 0 is off. */
  readonly mixup: number;
  readonly cutmix: number;
  /** Smallest and largest side of the box as shares; CutMix is then on, with its own shares. */
  readonly cutmixMinmax?: readonly [number, number];
  /** Of either. */
  readonly probability: number;
  /** Of CutMix, where both are on. */
  readonly switchProbability: number;
  readonly mode: 'batch' | 'pair' | 'elem';
  /** Rows that are mixed with each other: even, and a divisor of the rows of a micro-batch. */
  readonly group: number;
}

/** Rows and columns of pixels; ends are excluded. */
export interface MixBox {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

export interface MixDraw {
  /** Of the own row in the target; without a box, in every pixel too. */
  readonly share: number;
  /** Where the partner's pixels replace the own ones. */
  readonly box?: MixBox;
}

const UNMIXED: MixDraw = { share: 1 };

/** The partner of a row: its mirror image in its group. */
export function partnerOf(row: number, group: number): number {
  const first = row - (row % group);
  return first + group - 1 - (row - first);
}

/** What rows of a micro-batch share a draw: the smallest of them names it. */
export function drawKey(row: number, { mode, group }: MixingPolicy): number {
  if (mode === 'elem') return row;
  return mode === 'pair' ? Math.min(row, partnerOf(row, group)) : row - (row % group);
}

/** @param size of the picture in pixels */
export function drawMix(stream: RandomStream, policy: MixingPolicy, size: number): MixDraw {
  const { mixup, cutmix, cutmixMinmax, probability, switchProbability } = policy;
  const hasCutmix = cutmix > 0 || cutmixMinmax !== undefined;
  if (stream.uniform() >= probability) return UNMIXED;
  const cuts = hasCutmix && (mixup === 0 || stream.uniform() < switchProbability);
  if (!cuts) return { share: symmetricBeta(stream, mixup) };
  if (cutmixMinmax !== undefined) return boxDraw(drawSides(stream, cutmixMinmax, size), size);
  return boxDraw(drawBox(stream, symmetricBeta(stream, cutmix), size), size);
}

/** The share that is left of the own row, once the box has been cut at the borders. */
export function boxDraw(box: MixBox, size: number): MixDraw {
  return { share: 1 - ((box.bottom - box.top) * (box.right - box.left)) / (size * size), box };
}

function drawBox(stream: RandomStream, share: number, size: number): MixBox {
  const half = Math.floor(Math.trunc(size * Math.sqrt(1 - share)) / 2);
  const [y, x] = [stream.integer(size), stream.integer(size)];
  const inside = (value: number) => Math.min(size, Math.max(0, value));
  return { top: inside(y - half), bottom: inside(y + half), left: inside(x - half), right: inside(x + half) };
}

function drawSides(stream: RandomStream, [least, most]: readonly [number, number], size: number): MixBox {
  const [low, high] = [Math.trunc(size * least), Math.trunc(size * most)];
  const side = () => low + stream.integer(Math.max(1, high - low));
  const [height, width] = [side(), side()];
  const [top, left] = [stream.integer(size - height + 1), stream.integer(size - width + 1)];
  return { top, bottom: top + height, left, right: left + width };
}

/** Beta(alpha, alpha), from two gamma variables (Marsaglia and Tsang 2000). */
function symmetricBeta(stream: RandomStream, alpha: number): number {
  const [a, b] = [gamma(stream, alpha), gamma(stream, alpha)];
  return a + b > 0 ? a / (a + b) : 0.5;
}

function gamma(stream: RandomStream, shape: number): number {
  if (shape < 1) return gamma(stream, shape + 1) * (1 - stream.uniform()) ** (1 / shape);
  const d = shape - 1 / 3;
  for (;;) {
    const x = stream.normal();
    const v = (1 + x / Math.sqrt(9 * d)) ** 3;
    if (v > 0 && Math.log(1 - stream.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}

/** What of a micro-batch a rank loads beside its own rows to mix them, and where each partner is. */
export interface MixRows {
  /** Places in the micro-batch. */
  readonly extraRows: readonly number[];
  /** For each own row, the partner's place among the own rows and the extra ones. */
  readonly partners: Int32Array;
}

/** @param first place of the rank's first row in the micro-batch */
export function mixRows(first: number, rows: number, group: number): MixRows {
  const extraRows: number[] = [];
  const partners = Int32Array.from({ length: rows }, (_, i) => {
    const partner = partnerOf(first + i, group);
    if (partner >= first && partner < first + rows) return partner - first;
    return rows + extraRows.push(partner) - 1;
  });
  return { extraRows, partners };
}

/** Inputs of the step for own rows, in place: see `finetuneStep`. Lengths are rows, or rows * size. */
export interface MixInputs {
  readonly base: Float32Array;
  readonly box: Float32Array;
  readonly rows: Float32Array;
  readonly columns: Float32Array;
}

/** @param draws of the own rows */
export function writeMix(draws: readonly MixDraw[], size: number, { base, box, rows, columns }: MixInputs): void {
  rows.fill(0);
  columns.fill(0);
  for (const [i, { share, box: cut }] of draws.entries()) {
    base[i] = cut === undefined ? 1 - share : 0;
    box[i] = cut === undefined ? 0 : 1;
    if (cut === undefined) continue;
    rows.fill(1, i * size + cut.top, i * size + cut.bottom);
    columns.fill(1, i * size + cut.left, i * size + cut.right);
  }
}

/**
 * Smoothed and mixed targets: `share` of the own label's row, the rest of the partner's.
 * @param out [rows, classes]
 * @param labels of the own rows and the extra ones
 */
export function writeTargets(
  out: Float32Array,
  labels: ArrayLike<number>,
  numClasses: number,
  smoothing: number,
  mix?: { readonly partners: ArrayLike<number>; readonly draws: readonly MixDraw[] },
): void {
  const rows = out.length / numClasses;
  invariant(labels.length >= rows, `${labels.length} labels for ${rows} rows`);
  out.fill(smoothing / numClasses);
  for (let row = 0; row < rows; row++) {
    const share = mix?.draws[row].share ?? 1;
    out[row * numClasses + labels[row]] += (1 - smoothing) * share;
    if (mix !== undefined) out[row * numClasses + labels[mix.partners[row]]] += (1 - smoothing) * (1 - share);
  }
}
