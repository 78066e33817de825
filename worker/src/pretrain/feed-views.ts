// The views of a pre-training batch, copied into the inputs of its step.
import type { TrainBatch } from '@slip/data';
import type { StepExecutor } from '@slip/engine';
import { feedTexts } from '../encode/feed-texts.js';

export function feedViews(executor: StepExecutor, batch: TrainBatch): void {
  for (const view of ['image', 'aug1', 'aug2'] as const) {
    const pixels = batch[view];
    if (pixels !== undefined) executor.input(view).set(pixels);
  }
  if (batch.tokens !== undefined) feedTexts(executor, batch.tokens);
}
