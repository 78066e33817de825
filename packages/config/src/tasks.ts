// The tasks that train, by name: what a command line, a recipe or a run folder of each is read with.

import { FINETUNE, type FinetuneConfig } from './finetune-config.js';
import type { FlagDefinition } from './flag-definition.js';
import { LINEAR, type LinearConfig } from './linear-config.js';
import { type ResolvedConfig, resolveTraining, type TaskInput, type TrainingTask } from './resolve.js';
import { PRETRAIN, type RunConfig } from './run-config.js';
import type { TaskName, TrainingConfig } from './training-config.js';

/** Told apart by `task`. */
export type AnyConfig = RunConfig | LinearConfig | FinetuneConfig;

const TASKS = { pretrain: PRETRAIN, linear: LINEAR, finetune: FINETUNE } satisfies Record<
  TaskName,
  TrainingTask<never>
>;

/** Whether it is one of these: with recipes, checkpoints, and a configuration that `resolveTask` gives. */
export function isTrainingTask(name: string): name is TaskName {
  return Object.hasOwn(TASKS, name);
}

/** @param task as a configuration has it: absent for pre-training */
export function flagsOf(task: TrainingConfig['task']): readonly FlagDefinition[] {
  return TASKS[task ?? 'pretrain'].flags;
}

/** @throws SlipError `config` or `unsupported`, naming the flag or the recipe's line */
export function resolveTask(task: TaskName, input: TaskInput): Promise<ResolvedConfig<AnyConfig>> {
  switch (task) {
    case 'pretrain':
      return resolveTraining(PRETRAIN, input);
    case 'linear':
      return resolveTraining(LINEAR, input);
    case 'finetune':
      return resolveTraining(FINETUNE, input);
    default:
      return task satisfies never;
  }
}
