// When and by whom a run is saved: rank 0 writes, the others wait, so that no rank runs ahead of a commit.
import path from 'node:path';
import { markBest } from '@slip/checkpoint';
import type { ProcessGroup } from '@slip/comms';
import type { Plan, RunConfig } from '@slip/config';
import type { Logger } from '@slip/core';
import { gatherMoments } from './sharded-optimizer.js';
import { saveTrainState } from './state-checkpoint.js';
import type { TrainState } from './train-state.js';

export interface Checkpointer {
  /** Saves the current step once; a second call at the same step does nothing. Collective. */
  save(run: SavedRun): Promise<void>;
  /** Keeps the checkpoint of `step` as the best so far. Collective. */
  markBest(step: number): Promise<void>;
}

export interface SavedRun {
  readonly config: RunConfig;
  readonly plan: Plan;
  readonly state: TrainState;
}

export function createCheckpointer(options: {
  runFolder: string;
  group: ProcessGroup;
  configHash: string;
  log: Logger;
  /** The step already on disk, if the run was resumed. */
  savedStep: number;
}): Checkpointer {
  const { group, log } = options;
  const folder = path.join(options.runFolder, 'checkpoints');
  let savedStep = options.savedStep;
  return {
    async save({ config, plan, state }) {
      if (state.step === savedStep) return;
      await gatherMoments(state, group);
      await onFirstRank(group, async () => {
        const saved = await saveTrainState(folder, state, config, {
          epoch: Math.floor(state.step / plan.stepsPerEpoch),
          batchInEpoch: (state.step % plan.stepsPerEpoch) * config.updateFreq,
          globalBatch: config.rowsPerMicroBatch,
          configHash: options.configHash,
        });
        log.info(
          `saved step ${state.step} to ${saved.path} (${(saved.bytes / 1e6).toFixed(1)} MB in ${saved.writeMs.toFixed(0)} ms)`,
        );
      });
      savedStep = state.step;
    },
    async markBest(step) {
      await onFirstRank(group, () => markBest(folder, step));
    },
  };
}

/** Rank 0 works while the others wait; its failure reaches all of them as their own. */
async function onFirstRank(group: ProcessGroup, work: () => Promise<unknown>): Promise<void> {
  if (group.rank === 0) await work();
  await group.barrier();
}
