// PowerSGD (Vogels, Karimireddy, Jaggi, NeurIPS 2019): gradients of matrices travel as two thin factors, and what the factors
// miss is kept on each rank and added to its next gradient. Which tensors take part is a pure plan; the products are
// @slip/comms' kernels; updating parameters is the optimizer's.
import { addAndProject, expandAndSubtract, type MatrixShape, type ProcessGroup, projectBack } from '@slip/comms';
import { RandomStream } from '@slip/core';
import type { TensorEntry } from '@slip/model/architecture';
import { createCollectiveClock, timed } from './collective-clock.js';
import { orthonormalise, refillEmpty } from './thin-factors.js';

export interface PowerSgdOptions {
  /** Columns of the factors, at least 1. */
  readonly rank: number;
  /** Steps of plain reduction before the first compressed one. */
  readonly startStep: number;
  /** Of the factors that a run begins with; the same on all ranks. */
  readonly seed: number;
}

/** A tensor that is compressed: rows are its first dimension. */
export interface CompressedTensor extends MatrixShape {
  /** Place in the parameter arena. */
  readonly offset: number;
  /** Places in the buffers of the factors: [rank, rows] in the first, [rank, columns] in the second. */
  readonly leftAt: number;
  readonly rightAt: number;
}

export interface CompressionPlan {
  readonly tensors: readonly CompressedTensor[];
  /** Ranges of the parameter arena that travel as they are, with the first factors. */
  readonly plain: readonly { readonly offset: number; readonly size: number; readonly at: number }[];
  readonly leftLength: number;
  readonly rightLength: number;
}

/** Factors must be at most this share of the tensor; else it travels as it is. */
const WORTH_IT = 1 / 2;

/** @param entries every parameter, in the order of the arena */
export function planCompression(entries: readonly TensorEntry[], rank: number): CompressionPlan {
  const tensors: CompressedTensor[] = [];
  const plain: { offset: number; size: number; at: number }[] = [];
  let leftLength = 0;
  let rightLength = 0;
  for (const { kind, shape, size, offset } of entries) {
    if (kind !== 'param') continue;
    const rows = shape[0] ?? 1;
    const columns = size / rows;
    if (shape.length > 1 && rank * (rows + columns) <= size * WORTH_IT) {
      tensors.push({ rows, columns, rank, offset, leftAt: leftLength, rightAt: rightLength });
      leftLength += rank * rows;
      rightLength += rank * columns;
    } else plain.push({ offset, size, at: 0 });
  }
  for (const range of plain) {
    range.at = leftLength;
    leftLength += range.size;
  }
  return { tensors, plain, leftLength, rightLength };
}

export class PowerSgd {
  readonly plan: CompressionPlan;
  /** What earlier steps have not sent, of this rank, laid out like the parameters. State of the run, as are the factors. */
  readonly errors: Float32Array;
  /** Right factors that the next step begins with, the same on all ranks. */
  readonly right: Float32Array;
  private readonly left: Float32Array;
  private readonly options: PowerSgdOptions;
  private readonly group: ProcessGroup;

  /** Collective. */
  static async create(
    entries: readonly TensorEntry[],
    parameterCount: number,
    group: ProcessGroup,
    options: PowerSgdOptions,
  ): Promise<PowerSgd> {
    const plan = planCompression(entries, options.rank);
    const left = await group.allocate(plan.leftLength);
    const right = await group.allocate(plan.rightLength);
    return new PowerSgd(plan, { left, right, errors: new Float32Array(parameterCount) }, group, options);
  }

  private constructor(
    plan: CompressionPlan,
    memory: { left: Float32Array; right: Float32Array; errors: Float32Array },
    group: ProcessGroup,
    options: PowerSgdOptions,
  ) {
    this.plan = plan;
    this.left = memory.left;
    this.right = memory.right;
    this.errors = memory.errors;
    this.group = group;
    this.options = options;
    for (const tensor of plan.tensors) refillEmpty(tensor, this.rightOf(tensor), this.draws(tensor, 0));
  }

  /** Whether the step that follows `stepsDone` others is compressed. */
  isDue(stepsDone: number): boolean {
    return stepsDone >= this.options.startStep;
  }

  /** Floats that a rank gives to a step's all-reduces, of `parameterCount` without compression. */
  get floatsSent(): number {
    return this.plan.leftLength + this.plan.rightLength;
  }

  /**
   * `grads` of each rank become what all ranks take for their sum. Collective; every rank gets the same bits.
   * @returns time spent in arithmetic, not in collectives, ms
   */
  async reduce(grads: Float32Array, stepsDone: number): Promise<number> {
    const { plan, errors, left, right } = this;
    const startedAt = performance.now();
    const clock = createCollectiveClock();
    for (const tensor of plan.tensors)
      addAndProject(tensor, partOf(errors, tensor), partOf(grads, tensor), this.rightOf(tensor), this.leftOf(tensor));
    for (const { offset, size, at } of plan.plain) left.set(grads.subarray(offset, offset + size), at);
    await timed(clock, () => this.group.allReduce(left));

    for (const tensor of plan.tensors) {
      orthonormalise(tensor, this.leftOf(tensor));
      projectBack(tensor, partOf(errors, tensor), this.leftOf(tensor), this.rightOf(tensor));
    }
    await timed(clock, () => this.group.allReduce(right));

    // The factors are those of the sum; each rank keeps what its share of it leaves of the own gradient.
    for (const tensor of plan.tensors) {
      const [own, sum] = [partOf(errors, tensor), partOf(grads, tensor)];
      expandAndSubtract(tensor, own, this.leftOf(tensor), this.rightOf(tensor), 1 / this.group.worldSize, sum);
      refillEmpty(tensor, this.rightOf(tensor), this.draws(tensor, stepsDone + 1));
    }
    for (const { offset, size, at } of plan.plain) grads.set(left.subarray(at, at + size), offset);
    return performance.now() - startedAt - clock.totalMs;
  }

  private leftOf({ leftAt, rank, rows }: CompressedTensor): Float32Array {
    return this.left.subarray(leftAt, leftAt + rank * rows);
  }

  private rightOf({ rightAt, rank, columns }: CompressedTensor): Float32Array {
    return this.right.subarray(rightAt, rightAt + rank * columns);
  }

  private draws({ offset }: CompressedTensor, step: number): RandomStream {
    return new RandomStream(this.options.seed, 'powersgd', offset, step);
  }
}

function partOf(arena: Float32Array, { offset, rows, columns }: CompressedTensor): Float32Array {
  return arena.subarray(offset, offset + rows * columns);
}
