// AdamW on the vector units, in WebAssembly: the arenas pass through tiles of its memory that stay in a core's second cache.
import { compileWasm, instantiateWasm } from '@slip/core';
import type { AdamWArenas } from './adamw.js';
import { ADAMW_KERNEL_BINARY } from './adamw-kernel-binary.js';

/** Of one step and one kind of parameter. */
export interface AdamWFactors {
  readonly gradScale: number;
  readonly beta1: number;
  readonly beta2: number;
  /** 1 - lr * weight decay. */
  readonly keep: number;
  /** lr over the first bias correction. */
  readonly stepSize: number;
  /** 1 over the root of the second bias correction. */
  readonly correction: number;
  readonly eps: number;
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  update(
    end: number,
    ...factors: [
      ...[gradScale: number, beta1: number, rest1: number, beta2: number, rest2: number],
      ...[keep: number, stepSize: number, correction: number, eps: number],
    ]
  ): void;
}

const TILE = 8192;
/** Bytes from one tile to the next, as adamw-kernel.wat has them. */
const STRIDE = 4 * TILE + 128;

interface Kernel {
  readonly update: Exports['update'];
  /** Parameters, gradients, exp_avg, exp_avg_sq. */
  readonly tiles: readonly Float32Array[];
}

let kernel: Kernel | undefined;

/** Elements [start, end) of the arenas. */
export function updateRange(arenas: AdamWArenas, start: number, end: number, factors: AdamWFactors): void {
  kernel ??= load();
  const { update, tiles } = kernel;
  const { gradScale, beta1, beta2, keep, stepSize, correction, eps } = factors;
  const read = [arenas.params, arenas.grads, arenas.expAvg, arenas.expAvgSq];
  for (let at = start; at < end; at += TILE) {
    const length = Math.min(TILE, end - at);
    for (const [i, tile] of tiles.entries()) tile.set(read[i].subarray(at, at + length));
    // A pair that is half in use may compute on what an earlier tile left; nobody reads that.
    update(4 * length, gradScale, beta1, 1 - beta1, beta2, 1 - beta2, keep, stepSize, correction, eps);
    for (const [i, tile] of tiles.entries())
      if (read[i] !== arenas.grads) read[i].set(length === TILE ? tile : tile.subarray(0, length), at);
  }
}

function load(): Kernel {
  const { memory, update } = instantiateWasm<Exports>(compileWasm(ADAMW_KERNEL_BINARY));
  return { update, tiles: [0, 1, 2, 3].map((i) => new Float32Array(memory.buffer, i * STRIDE, TILE)) };
}
