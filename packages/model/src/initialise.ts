// Draws the initial values of a model into flat arenas: the reference's distributions, a pure function of (seed, tensor
// name). The reference's own random numbers are not reproduced (they depend on its CPU).
import { RandomStream } from '@slip/core';
import type { ModelConfig } from './models.js';
import { type Initialisation, type StateLayout, stateLayout } from './state-layout.js';

/** @param into the parameter arena to fill; a new one without it. @returns it */
export function initialiseParameters(model: ModelConfig, seed: number, into?: Float32Array): Float32Array {
  return initialiseParametersOf(stateLayout(model), seed, into);
}

/**
 * The same for any layout.
 * @param share of several that fill one arena together: this one's number, and how many there are
 */
export function initialiseParametersOf(
  { entries, parameterCount }: StateLayout,
  seed: number,
  into?: Float32Array,
  share: { readonly index: number; readonly count: number } = { index: 0, count: 1 },
): Float32Array {
  const arena = into ?? new Float32Array(parameterCount);
  const loads = Array.from({ length: share.count }, () => 0);
  for (const { name, kind, offset, size, initial } of entries) {
    if (kind !== 'param') continue;
    const least = loads.indexOf(Math.min(...loads));
    loads[least] += size;
    if (least !== share.index) continue;
    fill(arena.subarray(offset, offset + size), initial, new RandomStream(seed, 'init', name));
  }
  return arena;
}

/** The buffer arena of a fresh model: running means 0, running variances 1. */
export function initialiseBuffers(model: ModelConfig): Float32Array {
  return initialiseBuffersOf(stateLayout(model));
}

/** The same for any layout; buffers without a constant stay 0 until something is loaded into them. */
export function initialiseBuffersOf({ entries, bufferCount }: StateLayout): Float32Array {
  const arena = new Float32Array(bufferCount);
  for (const { kind, dtype, offset, size, initial } of entries) {
    if (kind === 'buffer' && dtype === 'float32' && initial.kind === 'constant') {
      arena.fill(initial.value, offset, offset + size);
    }
  }
  return arena;
}

function fill(target: Float32Array, initial: Initialisation, random: RandomStream): void {
  switch (initial.kind) {
    case 'constant':
      target.fill(initial.value);
      return;
    case 'uniform':
      for (let i = 0; i < target.length; i++) target[i] = random.uniform(-initial.bound, initial.bound);
      return;
    case 'normal':
      random.fillNormal(target, 0, initial.std);
      return;
    case 'truncatedNormal':
      random.fillNormal(target, 0, initial.std, 2);
      return;
    default:
      initial satisfies never;
  }
}
