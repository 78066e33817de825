// Running statistics of batch norm (reference 1.4), updated outside the step from the batch statistics it returns.
import type { TensorEntry } from './architecture.js';

const MOMENTUM = 0.1;
/** The SSL head sees two views, a vision tower with batch norm one: its family has no other. */
const VIEWS = { image_mlp: ['aug1', 'aug2'], visual: ['image'] };

/**
 * Advances all running means and variances in `buffers` by one micro-batch: first view, then second.
 *
 * @param statistic reads an output of the train step by name
 * @param options.globalRows rows over all ranks; the running variance is the unbiased one
 * @param options.batchesTracked `num_batches_tracked` before
 * @returns `num_batches_tracked` afterwards; unchanged for a model without batch norm
 */
export function updateRunningStatistics(
  buffers: Float32Array,
  entries: readonly TensorEntry[],
  statistic: (name: string) => Float32Array,
  options: { readonly globalRows: number; readonly batchesTracked: number },
): number {
  const unbias = options.globalRows / Math.max(1, options.globalRows - 1);
  let views: readonly string[] = [];
  for (const { name, kind, dtype, offset, size } of entries) {
    if (kind !== 'buffer' || dtype !== 'float32' || !/\.running_(mean|var)$/.test(name)) continue;
    const isVariance = name.endsWith('.running_var');
    const module = name.slice(0, name.lastIndexOf('.'));
    const isTower = module.startsWith('visual.');
    views = isTower ? VIEWS.visual : VIEWS.image_mlp;
    for (const view of views) {
      // A tower has values at many places of a row, and knows how many: its variance comes unbiased.
      const batch = statistic(`bn/${module}/${view}/${isVariance ? (isTower ? 'unbiased' : 'variance') : 'mean'}`);
      const factor = MOMENTUM * (isVariance && !isTower ? unbias : 1);
      for (let i = 0; i < size; i++) buffers[offset + i] = (1 - MOMENTUM) * buffers[offset + i] + factor * batch[i];
    }
  }
  return options.batchesTracked + views.length;
}
