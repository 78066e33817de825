// Drawing in WebAssembly, in memory of its own.
import { RANDOM_KERNELS_BINARY } from './random-kernels-binary.js';
import { compileWasm, instantiateWasm } from './web-assembly.js';

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  fillNormal(count: number, mean: number, std: number, limit: number): void;
  /** @param x a normal number in (0, 1) */
  log(x: number): number;
}

/** The kernels, and the places of their memory as random-kernels.wat has them. */
export interface RandomKernels extends Omit<Exports, 'memory'> {
  /** State of a stream: a, b, c, counter. */
  readonly state: Int32Array;
  readonly spare: Float64Array;
  readonly hasSpare: Int32Array;
  /** What one call can draw. */
  readonly drawn: Float32Array;
}

const DRAWN_AT = 64;
const DRAWN = 4096;
let kernels: RandomKernels | undefined;

export function randomKernels(): RandomKernels {
  kernels ??= load();
  return kernels;
}

function load(): RandomKernels {
  const { memory, fillNormal, log } = instantiateWasm<Exports>(compileWasm(RANDOM_KERNELS_BINARY));
  const { buffer } = memory;
  return {
    ...{ fillNormal, log },
    state: new Int32Array(buffer, 0, 4),
    spare: new Float64Array(buffer, 16, 1),
    hasSpare: new Int32Array(buffer, 24, 1),
    drawn: new Float32Array(buffer, DRAWN_AT, DRAWN),
  };
}
