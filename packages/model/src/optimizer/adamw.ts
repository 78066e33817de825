// AdamW over flat arenas (reference 4.1): decoupled weight decay, bias correction, no gradient clipping.
import type { TensorEntry } from '../architecture.js';
import { type AdamWFactors, updateRange } from './adamw-kernel.js';

/** Arenas of equal length; all but `grads` are updated in place. */
export interface AdamWArenas {
  readonly params: Float32Array;
  readonly grads: Float32Array;
  readonly expAvg: Float32Array;
  readonly expAvgSq: Float32Array;
}

export interface AdamWHyper {
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  /** 1 for the first update. */
  readonly step: number;
  /** Multiplies every gradient: 1 / (ranks * micro-batches) turns a sum into a mean without a pass of its own. */
  readonly gradScale: number;
}

/** @param range elements [start, end) of the arenas to update; all without it (a shard of the optimizer has its own) */
export function adamW(
  arenas: AdamWArenas,
  entries: readonly TensorEntry[],
  hyper: AdamWHyper,
  range: { readonly start: number; readonly end: number } = { start: 0, end: arenas.params.length },
): void {
  for (const run of decayRuns(entries)) {
    const start = Math.max(run.start, range.start);
    const end = Math.min(run.end, range.end);
    if (start >= end) continue;
    updateRange(arenas, start, end, factorsOf(hyper, run));
  }
}

/** Elements [start, end) of the arenas that are updated alike. */
export interface DecayRun {
  start: number;
  end: number;
  readonly decay: boolean;
  readonly lrScale: number;
}

/** Neighbouring parameters of equal decay and learning rate as one range. */
export function decayRuns(entries: readonly TensorEntry[]): DecayRun[] {
  const runs: DecayRun[] = [];
  for (const { kind, decay, lrScale = 1, offset, size } of entries) {
    if (kind !== 'param') continue;
    const last = runs.at(-1);
    if (last !== undefined && last.decay === decay && last.lrScale === lrScale && last.end === offset) {
      last.end = offset + size;
    } else runs.push({ start: offset, end: offset + size, decay, lrScale });
  }
  return runs;
}

function factorsOf(hyper: AdamWHyper, run: DecayRun): AdamWFactors {
  const { beta1, beta2, eps, step, gradScale } = hyper;
  const lr = hyper.lr * run.lrScale;
  return {
    ...{ gradScale, beta1, beta2, eps },
    keep: 1 - lr * (run.decay ? hyper.weightDecay : 0),
    stepSize: lr / (1 - beta1 ** step),
    correction: 1 / Math.sqrt(1 - beta2 ** step),
  };
}
