// The tasks that can be launched, by name, each with its flags. Data only. A task that is named here can be submitted too:
// slip-submit knows of no other table.
import { BENCH_COMM_FLAGS } from '@slip/config/bench-comm';
import { FINETUNE_FLAGS, type FlagDefinition, LINEAR_FLAGS, PRETRAIN_FLAGS, USE_FLAGS } from '@slip/config/flags';

export const TASK_FLAGS: Readonly<Record<string, readonly FlagDefinition[]>> = {
  pretrain: PRETRAIN_FLAGS,
  linear: LINEAR_FLAGS,
  finetune: FINETUNE_FLAGS,
  ...USE_FLAGS,
  'bench-comm': BENCH_COMM_FLAGS,
};

export const TASKS: readonly string[] = Object.keys(TASK_FLAGS);
