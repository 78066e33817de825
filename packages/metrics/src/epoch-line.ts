// One line of the reference's `log.txt`: which keys, in which order. Pure.
import type { EpochMeans } from './epoch-means.js';
import { FAMILY_METRICS, type Family } from './step-record.js';

/**
 * `train_<metric>` for each metric of the family, `train_lr`, `train_logit_scale`, then what the summary adds (`test_acc1`,
 * `test_acc5`), `epoch` last. SimCLR cannot be validated: its `test_acc1` is -1.
 * @param summary figures of the epoch; wins over the means
 * @param last values of the last step
 */
export function epochLine(
  summary: Readonly<Record<string, number>>,
  family: Family,
  means: EpochMeans,
  last: { readonly lr: number; readonly logit_scale?: number } | undefined,
): Record<string, number> {
  const line: Record<string, number> = {};
  const put = (name: string, fallback: number | undefined) => {
    const value = summary[name] ?? fallback;
    if (value !== undefined && !Number.isNaN(value)) line[name] = value;
  };
  for (const metric of FAMILY_METRICS[family]) put(`train_${metric}`, means.mean(metric));
  put('train_lr', last?.lr);
  put('train_logit_scale', last?.logit_scale ?? (family === 'SIMCLR' ? 0 : undefined));
  if (family === 'SIMCLR') put('test_acc1', -1);
  const { epoch, ...rest } = summary;
  return { ...line, ...rest, epoch };
}
