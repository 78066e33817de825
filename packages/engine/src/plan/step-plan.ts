// What an executor has to know of a step, as plain data: models to compile, memory to bind, work between segments. No tfjs, no graph.
import type { Completion, MilestonePlan, Milestones } from '../passes/milestones.js';
import type { TensorSpec } from '../step.js';
import type { TensorType, TypedArray } from '../tensor-type.js';

export interface StepPlan {
  readonly outputs: readonly TensorSpec[];
  /** Memory of everything that is not internal to one segment. */
  readonly memory: readonly PlannedMemory[];
  readonly segments: readonly PlannedSegment[];
  /** In the order in which every rank performs them. */
  readonly numCollectives: number;
  readonly activationBytes: number;
  /** Where the last level is cut. */
  readonly cuts: MilestonePlan;
  /** What the cuts were made for; absent where none were asked for. */
  readonly milestones?: { readonly completion: Completion; readonly groups: Milestones };
}

export type PlannedMemory =
  | { readonly kind: 'input' | 'output'; readonly name: string }
  | { readonly kind: 'constant'; readonly values: TypedArray }
  | { readonly kind: 'fill'; readonly fill: number; readonly type: TensorType }
  /** Lives from one segment to a later one. */
  | { readonly kind: 'crossing'; readonly type: TensorType };

/** A value at the border of a segment. */
export interface PlannedValue extends TensorType {
  /** In the model of the segment. */
  readonly name: string;
  /** Place in `StepPlan.memory`; reshaped values share one. */
  readonly memory: number;
}

export interface PlannedSegment {
  readonly name: string;
  /** An ONNX model; absent where a segment has no nodes: only host or wire work. */
  readonly model?: Uint8Array;
  readonly numNodes: number;
  readonly inputs: readonly PlannedValue[];
  readonly outputs: readonly PlannedValue[];
  readonly after: readonly PlannedWork[];
}

/** A collective, or work of the host. */
export interface PlannedWork {
  readonly kernel: string;
  readonly inputs: readonly PlannedValue[];
  readonly outputs: readonly PlannedValue[];
  readonly attrs: Readonly<Record<string, unknown>>;
}
