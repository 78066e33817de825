// From `--compress` to how gradients travel.
import type { Checkpoint } from '@slip/checkpoint';
import type { ProcessGroup } from '@slip/comms';
import type { TrainingConfig } from '@slip/config';
import type { Logger } from '@slip/core';
import { PowerSgd } from './powersgd.js';
import { restorePowerSgd } from './powersgd-checkpoint.js';
import type { GradientWire } from './sharded-optimizer.js';
import type { TrainState } from './train-state.js';

const HALVES = { none: 'float32', bf16: 'bfloat16', fp16: 'float16' } as const;

/** Collective. @param checkpoint that `state` comes from, if any */
export async function createGradientWire(
  config: TrainingConfig,
  state: TrainState,
  group: ProcessGroup,
  log: Logger,
  checkpoint?: Checkpoint,
): Promise<GradientWire> {
  if (config.compress !== 'powersgd') return HALVES[config.compress];
  const { powersgdRank: rank, powersgdStart: startStep, seed } = config;
  const powerSgd = await PowerSgd.create(state.entries, state.params.length, group, { rank, startStep, seed });
  const savedBy = checkpoint === undefined ? 0 : await restorePowerSgd(checkpoint, powerSgd, group);
  if (group.rank === 0) {
    const share = powerSgd.floatsSent / state.params.length;
    log.info(
      `gradients travel as factors of rank ${rank} (${(share * 100).toFixed(1)} % of their size) after ${startStep} steps`,
    );
    if (savedBy === 0 && state.step > startStep)
      log.warn('the errors that PowerSGD had kept are not in the checkpoint: it begins again without them');
    if (savedBy > 0 && savedBy !== group.worldSize)
      log.warn(
        `the errors that PowerSGD had kept on ${savedBy} ranks are summed over ${group.worldSize}: the run goes on, with other bits`,
      );
  }
  return powerSgd;
}
