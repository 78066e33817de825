// Running statistics of batch norm (reference 1.4), updated outside the step from the batch statistics it returns.
import type { TensorEntry } from './architecture.js';

const MOMENTUM = 0.1;
const VIEWS = ['aug1', 'aug2'];

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
  let found = false;
  for (const { name, kind, dtype, offset, size } of entries) {
    if (kind !== 'buffer' || dtype !== 'float32' || !/\.running_(mean|var)$/.test(name)) continue;
    found = true;
    const isVariance = name.endsWith('.running_var');
    const module = name.slice(0, name.lastIndexOf('.'));
    for (const view of VIEWS) {
      const batch = statistic(`bn/${module}/${view}/${isVariance ? 'variance' : 'mean'}`);
      const factor = MOMENTUM * (isVariance ? unbias : 1);
      for (let i = 0; i < size; i++) buffers[offset + i] = (1 - MOMENTUM) * buffers[offset + i] + factor * batch[i];
    }
  }
  return found ? options.batchesTracked + VIEWS.length : options.batchesTracked;
}
