// SGD with momentum over flat arenas (reference 6.3): PyTorch's, without Nesterov and dampening.
import type { TensorEntry } from '../architecture.js';
import { decayRuns } from './adamw.js';

/** Arenas of equal length; all but `grads` are updated in place. */
export interface SgdArenas {
  readonly params: Float32Array;
  readonly grads: Float32Array;
  /** Zeros before the first step, which gives what PyTorch does: it then holds the gradient. */
  readonly momentumBuffer: Float32Array;
}

export interface SgdHyper {
  readonly lr: number;
  readonly momentum: number;
  /** Added to the gradient, not decoupled. */
  readonly weightDecay: number;
  /** Multiplies every gradient. */
  readonly gradScale: number;
}

/** @param range elements [start, end) of the arenas to update; all without it */
export function sgd(
  { params, grads, momentumBuffer }: SgdArenas,
  entries: readonly TensorEntry[],
  { lr, momentum, weightDecay, gradScale }: SgdHyper,
  range: { readonly start: number; readonly end: number } = { start: 0, end: params.length },
): void {
  for (const run of decayRuns(entries)) {
    const decay = run.decay ? weightDecay : 0;
    for (let i = Math.max(run.start, range.start); i < Math.min(run.end, range.end); i++) {
      const g = grads[i] * gradScale + decay * params[i];
      momentumBuffer[i] = momentum * momentumBuffer[i] + g;
      params[i] -= lr * run.lrScale * momentumBuffer[i];
    }
  }
}
