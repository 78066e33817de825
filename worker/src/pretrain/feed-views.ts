// The views of a pre-training batch, copied into the inputs of its step.
import type { TrainBatch } from '@slip/data';
import type { StepExecutor } from '@slip/engine';

export function feedViews(executor: StepExecutor, batch: TrainBatch): void {
  for (const view of ['image', 'aug1', 'aug2', 'tokens'] as const) {
    const data = batch[view];
    if (data !== undefined) executor.input(view).set(data);
  }
}
