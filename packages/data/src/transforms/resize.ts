// Pillow's resampling of a picture into another one, on a workbench of this thread.
import { createKernelMemory } from '../vector/kernel-memory.js';
import type { PixelImage } from './pixel-image.js';
import type { ResizeOptions } from './resize-weights.js';
import { Workbench } from './workbench.js';

let own: Workbench | undefined;

/** For what does not go into the memory of a batch. */
export function threadBench(): Workbench {
  own ??= new Workbench(createKernelMemory(0), 0);
  return own;
}

/**
 * Resizes with antialiasing, bytes rounded between the horizontal and the vertical pass, bit for bit as Pillow does.
 * @returns a new image of the window's size
 */
export function resize(source: PixelImage, options: ResizeOptions): PixelImage {
  const bench = threadBench();
  bench.hold(source);
  bench.resize(options);
  return bench.pixels();
}
