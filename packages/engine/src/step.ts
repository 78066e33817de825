// What a step is and what runs one; not how.
import type { tf } from './tfjs.js';

/** A named tensor at the border of a step. Shapes are static. */
export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: 'float32' | 'int32';
}

/**
 * One training or evaluation step, written once in tfjs. `fn` is synchronous, reads no tensor's value and draws no random
 * numbers; it is called once to be traced, or each time when run eagerly. Its results are named; bool ones become int32.
 */
export interface StepDefinition {
  readonly name: string;
  readonly inputs: readonly TensorSpec[];
  readonly fn: (inputs: Record<string, tf.Tensor>) => Record<string, tf.Tensor>;
  /**
   * Tells apart what `fn` computes beyond name, inputs and topology: everything that it closes over, and the code it calls outside of this
   * package. Without it the step is traced every time, whatever a cache holds.
   */
  readonly identity?: () => string;
  /** Where what lies behind a place in some input changes no result: the lengths to which that input may be cut. */
  readonly lengths?: StepLengths;
}

export interface StepLengths {
  /** Ascending; the last is that of the step itself. */
  readonly allowed: readonly number[];
  /** The same step with shorter inputs and equal outputs. */
  at(length: number): StepDefinition;
}

export type StepArray = Float32Array | Int32Array;

export interface StepStats {
  /** ONNX nodes (kernels traced, for an eager executor: 0). */
  readonly nodes: number;
  readonly segments: number;
  readonly collectives: number;
  /** Memory of values that live from one segment to a later one. */
  readonly crossingBytes: number;
  /** Estimate of what a run needs at its peak beside its inputs and outputs. */
  readonly activationBytes: number;
  /** Time to trace and lower the step, or to find it in the cache, and to build the sessions. */
  readonly traceMs: number;
  readonly sessionMs: number;
  /** Nothing was traced. */
  readonly fromCache: boolean;
  /** Why ONNX Runtime copies the outputs of every run, which is slower; absent where it does not. */
  readonly copies?: string;
}

/** A step bound to memory: write the inputs, `run`, read the outputs. Not reentrant. */
export interface StepExecutor {
  /** The bound memory of an input, valid until `close`. @throws SlipError `internal` for an unknown name */
  input(name: string): StepArray;
  /** The bound memory of an output, overwritten by each run. @throws SlipError `internal` for an unknown name */
  output(name: string): StepArray;
  /**
   * Where lengths were asked for and the step has some, ascending: those of the next run are set before it, and inputs that are cut are
   * read from the beginning of their memory, without gaps.
   */
  readonly lengths?: readonly number[];
  /** @param length one of `lengths`; it stays so for later runs */
  setLength?(length: number): void;
  /** @param onMilestone called with the index of each group of outputs as soon as all of it is final, where groups were asked for */
  run(onMilestone?: (group: number) => void): Promise<void>;
  /** Ends the recording of kernels where it was asked for and is possible, and writes what was recorded. */
  endProfile?(): void;
  close(): Promise<void>;
  readonly stats: StepStats;
}

/** Memory of the caller to bind: views at any 4-byte aligned offset; what is not given is allocated. */
export interface StepBindings {
  readonly inputs?: Readonly<Record<string, StepArray>>;
  readonly outputs?: Readonly<Record<string, StepArray>>;
}
