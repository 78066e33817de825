// From `--compress` to how gradients travel.
import type { ProcessGroup } from '@slip/comms';
import type { TrainingConfig } from '@slip/config';
import type { Logger } from '@slip/core';
import { PowerSgd } from './powersgd.js';
import type { GradientWire } from './sharded-optimizer.js';
import type { TrainState } from './train-state.js';

const HALVES = { none: 'float32', bf16: 'bfloat16', fp16: 'float16' } as const;

/** Collective. */
export async function createGradientWire(
  config: TrainingConfig,
  state: TrainState,
  group: ProcessGroup,
  log: Logger,
): Promise<GradientWire> {
  if (config.compress !== 'powersgd') return HALVES[config.compress];
  const { powersgdRank: rank, powersgdStart: startStep, seed } = config;
  const powerSgd = await PowerSgd.create(state.entries, state.params.length, group, { rank, startStep, seed });
  if (group.rank === 0) {
    const share = powerSgd.floatsSent / state.params.length;
    log.info(
      `gradients travel as factors of rank ${rank} (${(share * 100).toFixed(1)} % of their size) after ${startStep} steps`,
    );
    if (state.step > startStep)
      log.warn('the errors that PowerSGD had kept are not in the checkpoint: it begins again without them');
  }
  return powerSgd;
}
