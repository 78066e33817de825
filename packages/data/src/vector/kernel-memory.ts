// Memory that the pixel kernels work in and that threads share: a batch in front, what is needed to make it behind.
import {
  compileWasm,
  instantiateWasm,
  invariant,
  type SharedWasmMemory,
  sharedWasmMemory,
  type WasmModule,
} from '@slip/core';
import { PIXEL_KERNELS_BINARY } from './pixel-kernels-binary.js';

export type KernelMemory = SharedWasmMemory;

export interface PixelKernels {
  narrow(
    ...args: [
      src: number,
      pitch: number,
      rows: number,
      dst: number,
      stride: number,
      columns: number,
      table: number,
      pairs: number,
    ]
  ): void;
  combineRows(src: number, pitch: number, dst: number, rows: number, table: number, pairs: number): void;
  blendWithLevel(at: number, bytes: number, base: number, factor: number): void;
  sumOfLuma(at: number, rows: number, columns: number, stride: number): number;
  blendWithLuma(at: number, rows: number, stride: number, factor: number): void;
  turnHue(at: number, rows: number, stride: number, shift: number): void;
  blurLines(
    ...args: [
      at: number,
      lines: number,
      columns: number,
      stride: number,
      reach: number,
      upper: number,
      lower: number,
      passes: number,
      temp: number,
    ]
  ): void;
  blurColumns(
    ...args: [src: number, dst: number, rows: number, pitch: number, reach: number, upper: number, lower: number]
  ): void;
  lookUp(
    ...args: [src: number, rows: number, columns: number, pitch: number, dst: number, table: number, flip: number]
  ): void;
  narrowFast: PixelKernels['narrow'];
  combineRowsFast: PixelKernels['combineRows'];
  turnHueFast: PixelKernels['turnHue'];
  padLines(at: number, lines: number, columns: number, stride: number, dst: number): void;
  smooth(src: number, dst: number, bytes: number, step: number, groups: number, weights: number): void;
  scale(
    ...args: [
      src: number,
      rows: number,
      columns: number,
      pitch: number,
      dst: number,
      scale: number,
      offset: number,
      flip: number,
    ]
  ): void;
}

const PAGE = 65_536;
/** What 32-bit addresses reach. */
export const MAX_MEMORY_BYTES = 65_536 * PAGE;

export function createKernelMemory(bytes: number): KernelMemory {
  const initial = Math.max(1, Math.ceil(bytes / PAGE));
  return sharedWasmMemory(initial, MAX_MEMORY_BYTES / PAGE);
}

export function ensureBytes(memory: KernelMemory, bytes: number): void {
  const missing = Math.ceil((bytes - memory.buffer.byteLength) / PAGE);
  invariant(bytes <= MAX_MEMORY_BYTES, `${bytes} bytes of pixels at once`);
  if (missing > 0) memory.grow(missing);
}

let compiled: WasmModule | undefined;

/** The kernels on this memory, in this thread. */
export function kernelsOn(memory: KernelMemory): PixelKernels {
  compiled ??= compileWasm(PIXEL_KERNELS_BINARY);
  return instantiateWasm<PixelKernels>(compiled, { env: { memory } });
}
