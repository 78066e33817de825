// The loss of a linear classifier on features that are at hand: mean cross-entropy over chosen rows of all ranks, with gradient; and its
// scores. The features of a rank never leave it.
import type { ProcessGroup } from '@slip/comms';
import { SlipError } from '@slip/core';
import { createOnnxExecutor, type StepExecutor } from '@slip/engine';
import { probeStep } from '@slip/model';
import { addCounts, countImage, emptyCounts, figuresOf } from '../../evaluation/classification-metrics.js';
import type { Evaluation } from './lbfgs.js';

/** Rows of this rank. */
export interface ProbeRows {
  /** [rows, width] */
  readonly features: Float32Array;
  readonly labels: Int32Array;
}

/** Weights [classes, width], then biases [classes]. */
export type Head = Float64Array;

const ROWS = 1024;

export interface ProbeSize {
  /** Features of a picture. */
  readonly width: number;
  readonly numClasses: number;
}

export class ProbeObjective {
  private readonly width: number;
  private readonly numClasses: number;
  private readonly group: ProcessGroup;
  private readonly executor: StepExecutor;
  private readonly stopRequested: () => boolean;

  private constructor(size: ProbeSize, group: ProcessGroup, executor: StepExecutor, stopRequested: () => boolean) {
    this.width = size.width;
    this.numClasses = size.numClasses;
    this.group = group;
    this.executor = executor;
    this.stopRequested = stopRequested;
  }

  /** @param stopRequested whether this rank was asked to stop; all ranks then do, at the next evaluation */
  static async create(
    size: ProbeSize,
    group: ProcessGroup,
    threads: number,
    stopRequested: () => boolean = () => false,
  ): Promise<ProbeObjective> {
    const step = probeStep(size.width, size.numClasses, ROWS);
    const executor = await createOnnxExecutor(step, { rank: 0, worldSize: 1, threads });
    return new ProbeObjective(size, group, executor, stopRequested);
  }

  get headSize(): number {
    return this.numClasses * (this.width + 1);
  }

  /**
   * Collective. @throws SlipError `stopped` on all ranks when one was asked to stop
   * @param chosen rows of this rank that count
   * @param total of them on all ranks
   * @param l2 half of it times the squared weights (not biases) is added, as scikit-learn's C with l2 = 1 / (C rows)
   */
  async evaluate(head: Head, rows: ProbeRows, chosen: Int32Array, total: number, l2: number): Promise<Evaluation> {
    const { width, numClasses, group } = this;
    const sum = new Float32Array(this.headSize);
    let loss = 0;
    this.setHead(head);
    for (let start = 0; start < chosen.length; start += ROWS) {
      loss += await this.runChunk(rows, chosen.subarray(start, start + ROWS), 1 / total);
      const [weight, bias] = [this.executor.output('grad/head.weight'), this.executor.output('grad/head.bias')];
      for (let i = 0; i < weight.length; i++) sum[i] += weight[i];
      for (let i = 0; i < bias.length; i++) sum[weight.length + i] += bias[i];
    }
    await group.allReduce(sum);
    const parts = await group.allGatherObject({ loss, stop: this.stopRequested() });
    if (parts.some(({ stop }) => stop)) throw new SlipError('stopped', 'asked to stop');
    const gradient = Float64Array.from(sum);
    let squares = 0;
    for (let i = 0; i < numClasses * width; i++) {
      gradient[i] += l2 * head[i];
      squares += head[i] ** 2;
    }
    return { value: parts.reduce((all, own) => all + own.loss, 0) + 0.5 * l2 * squares, gradient };
  }

  /** Figures over the chosen rows of all ranks. Collective. */
  async figures(head: Head, rows: ProbeRows, chosen: Int32Array) {
    const counts = emptyCounts(this.numClasses);
    this.setHead(head);
    for (let start = 0; start < chosen.length; start += ROWS) {
      const part = chosen.subarray(start, start + ROWS);
      await this.runChunk(rows, part, 1);
      const logits = this.executor.output('logits') as Float32Array;
      for (const [i, row] of part.entries()) {
        countImage(counts, logits.subarray(i * this.numClasses, (i + 1) * this.numClasses), rows.labels[row]);
      }
    }
    return figuresOf(addCounts(await this.group.allGatherObject(counts)));
  }

  close(): Promise<void> {
    return this.executor.close();
  }

  private setHead(head: Head): void {
    const weights = this.width * this.numClasses;
    this.executor.input('param/head.weight').set(head.subarray(0, weights));
    this.executor.input('param/head.bias').set(head.subarray(weights));
  }

  /** @returns the weighted loss of these rows */
  private async runChunk(rows: ProbeRows, chosen: Int32Array, weight: number): Promise<number> {
    const { width, executor } = this;
    const [features, labels, weights] = ['features', 'labels', 'weights'].map((name) => executor.input(name));
    for (const [i, row] of chosen.entries()) {
      features.set(rows.features.subarray(row * width, (row + 1) * width), i * width);
      labels[i] = rows.labels[row];
    }
    features.fill(0, chosen.length * width);
    labels.fill(0, chosen.length);
    weights.fill(weight, 0, chosen.length);
    weights.fill(0, chosen.length);
    await executor.run();
    return executor.output('loss')[0];
  }
}
