// Drawing many numbers at once, in WebAssembly.
import { RANDOM_KERNELS_BINARY } from './random-kernels-binary.js';
import { compileWasm, instantiateWasm, type WasmModule } from './web-assembly.js';

interface Exports {
  /** `grow` takes pages of 64 KiB. */
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  fillNormal(count: number, mean: number, std: number, limit: number): void;
  shuffle(last: number, end: number): void;
  /** @param x a normal number in (0, 1) */
  log(x: number): number;
}

/** The kernels, and the places of their memory as random-kernels.wat has them. */
export interface RandomKernels extends Omit<Exports, 'memory'> {
  /** State of a stream: a, b, c, counter. */
  readonly state: Int32Array;
  readonly spare: Float64Array;
  readonly hasSpare: Int32Array;
  /** What one `fillNormal` can draw. */
  readonly drawn: Float32Array;
  /** What `shuffle` works on. */
  readonly order: Uint32Array;
}

const DRAWN_AT = 64;
const DRAWN = 4096;
const ORDER_AT = 0x30000;
const PAGE = 65_536;
/** Of 4 GiB without what lies before the order. */
export const MOST_ORDERED = (65_536 * PAGE - ORDER_AT) / Uint32Array.BYTES_PER_ELEMENT;

let module: WasmModule | undefined;
let shared: RandomKernels | undefined;

/** Those that all streams of this thread use in turns. */
export function randomKernels(): RandomKernels {
  shared ??= newRandomKernels(0);
  return shared;
}

/** With memory of their own, which stays as long as a view of it. @param ordered elements of `order` */
export function newRandomKernels(ordered: number): RandomKernels {
  module ??= compileWasm(RANDOM_KERNELS_BINARY);
  const { memory, ...kernels } = instantiateWasm<Exports>(module);
  memory.grow(Math.ceil((ordered * Uint32Array.BYTES_PER_ELEMENT) / PAGE));
  const { buffer } = memory;
  return {
    ...kernels,
    state: new Int32Array(buffer, 0, 4),
    spare: new Float64Array(buffer, 16, 1),
    hasSpare: new Int32Array(buffer, 24, 1),
    drawn: new Float32Array(buffer, DRAWN_AT, DRAWN),
    order: new Uint32Array(buffer, ORDER_AT, ordered),
  };
}
