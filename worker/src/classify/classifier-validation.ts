// Validation of a classifier: every picture once, shared among the ranks, with exact figures that do not depend on their number.
import type { ProcessGroup } from '@slip/comms';
import { createEvalLoader, type LabelledDataset, type LabelledView } from '@slip/data';
import { logitsStep } from '@slip/model';
import type { ClassifierConfig, StateLayout } from '@slip/model/architecture';
import {
  addCounts,
  type ClassificationFigures,
  countImage,
  emptyCounts,
  figuresOf,
} from '../evaluation/classification-metrics.js';
import { executorOf } from '../evaluation/state-executor.js';
import type { Validation } from '../evaluation/validation.js';
import { gatherMoments } from '../pretrain/sharded-optimizer.js';
import type { TrainState } from '../pretrain/train-state.js';

const IMAGE_BATCH = 64;

export interface ClassifierTask {
  /** For people: `linear` or `finetune`. */
  readonly task: string;
  readonly dataset: string;
  readonly images: LabelledDataset;
  readonly view: LabelledView;
  readonly classifier: ClassifierConfig;
  readonly layout: StateLayout;
  readonly group: ProcessGroup;
  readonly threads: number;
  /** Behind the figures. */
  readonly note: string;
}

export function classifierValidation(task: ClassifierTask): Validation {
  return {
    dataset: task.dataset,
    async run(state) {
      const figures = await validate(task, state);
      const averaged = await averagedFigures(task, state);
      return { figures: { ...figures, ...averaged }, summary: summaryOf(task, state, figures, averaged) };
    },
  };
}

type Figures = ClassificationFigures & { readonly loss: number };

/** With the moving average of the weights, where the optimizer keeps one. */
async function averagedFigures(task: ClassifierTask, state: TrainState): Promise<Record<string, number>> {
  const { ema } = state.moments;
  if (ema === undefined) return {};
  await gatherMoments(state, task.group);
  const { acc1, acc5, loss } = await validate(task, { ...state, params: ema });
  return { ema_acc1: acc1, ema_acc5: acc5, ema_loss: loss };
}

async function validate(task: ClassifierTask, state: TrainState): Promise<Figures> {
  const { classifier, layout, group, threads, images, view } = task;
  const definition = logitsStep(classifier, layout, IMAGE_BATCH);
  const executor = await executorOf(definition, state, threads);
  try {
    const counts = emptyCounts(classifier.numClasses);
    let loss = 0;
    const loader = createEvalLoader({
      dataset: images,
      imageSize: classifier.vision.imageSize,
      batchSize: IMAGE_BATCH,
      rank: group.rank,
      worldSize: group.worldSize,
      view,
    });
    for await (const batch of loader) {
      const input = executor.input('image') as Float32Array;
      input.set(batch.images);
      input.fill(0, batch.images.length);
      await executor.run();
      const logits = executor.output('logits') as Float32Array;
      for (const [row, { label }] of batch.items.entries()) {
        const scores = logits.subarray(row * classifier.numClasses, (row + 1) * classifier.numClasses);
        countImage(counts, scores, label);
        loss += crossEntropy(scores, label);
      }
    }
    const parts = await group.allGatherObject({ counts, loss });
    const figures = figuresOf(addCounts(parts.map((part) => part.counts)));
    return { ...figures, loss: parts.reduce((sum, part) => sum + part.loss, 0) / figures.images };
  } finally {
    await executor.close();
  }
}

function crossEntropy(scores: Float32Array, label: number): number {
  const highest = Math.max(...scores);
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - highest);
  return Math.log(sum) + highest - scores[label];
}

function summaryOf(
  { task, dataset, note }: ClassifierTask,
  state: TrainState,
  { acc1, acc5, meanRecall, loss, images }: Figures,
  { ema_acc1: averaged }: Record<string, number>,
): string {
  const best = Math.max(acc1, state.bestAcc1);
  const ema = averaged === undefined ? '' : ` averaged weights Acc@1 ${averaged.toFixed(3)}`;
  return (
    `${task} ${dataset} * Acc@1 ${acc1.toFixed(3)} Acc@5 ${acc5.toFixed(3)} loss ${loss.toFixed(4)} ` +
    `mean per-class recall ${meanRecall.toFixed(3)} best Acc@1 ${best.toFixed(3)} (${images} images, step ${state.step})${ema}${note}`
  );
}
