// Which precision a run has: what was asked for, or what its device computes fastest. Pure.
import { SlipError } from '@slip/core';

/** Of products and convolutions; weights, sums and norms are float32 in all. */
export type Precision = 'fp32' | 'fp16' | 'bf16';

export interface ChosenPrecision {
  readonly precision: Precision;
  /** For people, where the choice was ours or is an odd one. */
  readonly notice?: string;
}

/** Whether gradients could fall below the range of these halves, so that the loss is scaled; that of bfloat16 is float32's. */
export function scalesLoss({ precision }: { readonly precision: Precision }): boolean {
  return precision === 'fp16';
}

/**
 * @param device as the run has it
 * @param takesHalves whether the task computes in halves unasked, where they are faster
 * @throws SlipError `config` when --disable-amp and --precision disagree
 */
export function choosePrecision(
  wanted: string,
  disableAmp: boolean,
  { device, takesHalves }: { readonly device: string; readonly takesHalves: boolean },
): ChosenPrecision {
  if (disableAmp) {
    if (wanted !== 'auto' && wanted !== 'fp32') {
      throw new SlipError('config', `--disable-amp is --precision fp32, and --precision ${wanted} is given too`);
    }
    return { precision: 'fp32' };
  }
  if (wanted !== 'auto') return asked(wanted as Precision, device);
  if (device === 'cuda') {
    return takesHalves
      ? { precision: 'fp16', notice: 'precision fp16: fastest on cuda (--precision fp32)' }
      : { precision: 'fp32', notice: 'precision fp32: --precision fp16 may be faster on cuda' };
  }
  if (device === 'auto') {
    return {
      precision: 'fp32',
      notice: 'precision fp32: what --device auto finds is not known yet (--precision fp16)',
    };
  }
  return { precision: 'fp32', notice: `precision fp32: nothing else is known to be faster on ${device}` };
}

function asked(precision: Precision, device: string): ChosenPrecision {
  if (precision === 'fp32' || device !== 'cpu') return { precision };
  return {
    precision,
    notice: `precision ${precision} on cpu is float32 rounded where halves would be: the same numbers, slower than fp32`,
  };
}
