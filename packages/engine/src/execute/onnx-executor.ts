// Compiles a traced step with ONNX Runtime and runs it in memory bound once; no tfjs at run time.
import { invariant, SlipError } from '@slip/core';
import type { StepCollectives, Topology } from '../collectives.js';
import { ONNX_TYPES } from '../kernels/elementwise.js';
import type { CollectiveKernel, HostKernel } from '../kernels/kernel.js';
import { KERNELS } from '../kernels/table.js';
import type { Completion, MilestonePlan, Milestones } from '../passes/milestones.js';
import { planOf } from '../plan/cached-plan.js';
import type { LengthPlan, VaryingValue } from '../plan/flexible-plan.js';
import type { GraphCache } from '../plan/graph-cache.js';
import { planLengths } from '../plan/plan-lengths.js';
import type { PlannedMemory, PlannedSegment, PlannedValue, PlannedWork, StepPlan } from '../plan/step-plan.js';
import type { StepBindings, StepDefinition, StepExecutor } from '../step.js';
import { allocate, sizeOf, type TypedArray } from '../tensor-type.js';
import { filled } from '../trace/graph.js';
import type { TraceOptions } from '../trace/trace-step.js';
import { bindMemory, boundArray } from './bindings.js';
import { type BoundRun, createGraphSession, type GraphSession } from './graph-session.js';
import * as ort from './onnx-runtime.js';

export interface OnnxExecutorOptions extends Topology, StepBindings, TraceOptions {
  /** Threads of ONNX Runtime for one operator, at least 1. */
  readonly threads: number;
  /** Required where the step has collectives. */
  readonly collectives?: StepCollectives;
  /**
   * Outputs wanted before the step ends, in groups, given when each output is complete. The last level (most of the backward pass)
   * is then cut where a group is complete, and `run` tells of each. Without it nothing is cut.
   */
  readonly milestones?: (completion: Completion) => Milestones;
  /** Where compiled graphs are kept from one start to the next. */
  readonly graphCache?: GraphCache;
  /** Makes the executor one for all lengths of the step. With the CPU only. */
  readonly anyLength?: boolean;
  /** Of ONNX Runtime: the CPU, or one that copies what is in host memory for every run. Default `cpu`. */
  readonly provider?: 'cpu' | 'cuda';
  /** With `cuda`: the number among the visible GPUs, default 0. */
  readonly gpuIndex?: number;
  /** Writes ONNX Runtime's profile to `<prefix>-<segment>_<time>.json` at `endProfile` or on close; one file a segment. */
  readonly profilePrefix?: string;
  /** Told of every segment that was run, with its name in those files; ms on the clock of `performance.now()`. */
  readonly onSegment?: (segment: string, startMs: number, endMs: number) => void;
}

/**
 * Traces a step, compiles it for the CPU and binds it to memory. `run` blocks the thread while a segment runs.
 *
 * @throws SlipError `unsupported` as `traceStep`; `internal` when bound memory does not fit or collectives are missing
 */
export async function createOnnxExecutor(step: StepDefinition, options: OnnxExecutorOptions): Promise<StepExecutor> {
  const begun = performance.now();
  const canCut = options.anyLength === true && (options.provider ?? 'cpu') === 'cpu';
  const lengths = canCut ? await planLengths(step, options, options.graphCache) : undefined;
  const { plan, fromCache } = lengths ?? (await planOf(step, options, options.graphCache));
  const fullLength = step.lengths?.allowed.at(-1) ?? 0;
  const full = (await lengths?.at(fullLength)) ?? plan;
  const traceMs = performance.now() - begun;
  const { collectives } = options;
  if (plan.numCollectives > 0 && collectives === undefined) {
    throw new SlipError(
      'internal',
      `step '${step.name}' has collectives at world size ${options.worldSize}; pass them`,
    );
  }
  const inputs = bindMemory('input', step.inputs, options.inputs);
  const outputs = bindMemory('output', plan.outputs, options.outputs);
  const memory = StepMemory.of(plan, inputs, outputs);
  const start = performance.now();
  const sessions: (GraphSession | undefined)[] = [];
  for (const each of plan.segments) sessions.push(await compile(each, options));
  const copies = sessions.find((session) => session !== undefined)?.copies;
  const names = plan.segments.map((segment) => ({
    name: segment.name,
    inputs: segment.inputs.map(({ name }) => name),
    outputs: segment.outputs.map(({ name }) => name),
  }));
  const bound = new Map([[fullLength, bind(full, sessions, names, memory)]]);
  const bindLength = async (length: number): Promise<readonly BoundSegment[]> => {
    const shorter = await lengths!.at(length);
    const segments = bind(shorter, sessions, names, memory.forLength(shorter));
    bound.set(length, segments);
    return segments;
  };
  let length = fullLength;
  const sessionMs = performance.now() - start;
  // Not the plan itself: its models would stay in memory for as long as the executor.
  const { cuts } = plan;
  let isProfiling = options.profilePrefix !== undefined;
  const endProfile = () => {
    if (isProfiling) for (const session of sessions) session?.endProfiling();
    isProfiling = false;
  };

  return {
    input: (name) => boundArray('input', inputs, name),
    output: (name) => boundArray('output', outputs, name),
    ...(lengths === undefined
      ? {}
      : {
          lengths: step.lengths!.allowed,
          setLength: (next: number) => {
            invariant(step.lengths!.allowed.includes(next), `${next} is a length of the step`);
            length = next;
          },
        }),
    run: async (onMilestone) => {
      if (sessions.length === 0) throw new SlipError('internal', `step '${step.name}' was run after it was closed`);
      const segments = bound.get(length) ?? (await bindLength(length));
      for (const [i, { run, after }] of segments.entries()) {
        for (const group of groupsAt(cuts, segments.length, i)) onMilestone?.(group);
        const startMs = performance.now();
        await run?.();
        if (run !== undefined) options.onSegment?.(names[i]!.name, startMs, performance.now());
        for (const work of after) await work(collectives);
      }
      for (const group of groupsAt(cuts, segments.length, segments.length)) onMilestone?.(group);
    },
    endProfile,
    close: async () => {
      endProfile();
      for (const session of sessions.splice(0)) await session?.release();
    },
    stats: {
      nodes: plan.segments.reduce((sum, { numNodes }) => sum + numNodes, 0),
      segments: names.length,
      collectives: plan.numCollectives,
      crossingBytes: memory.crossingBytes,
      activationBytes: plan.activationBytes,
      traceMs,
      sessionMs,
      fromCache,
      ...(copies === undefined ? {} : { copies }),
    },
  };
}

/** The groups that are complete when so many segments have run; the last level's pieces are the last of them. */
export function groupsAt({ cuts, pieces }: MilestonePlan, segments: number, done: number): number[] {
  const piece = done - (segments - cuts.length - 1);
  return [...pieces.keys()].filter((group) => pieces[group] === piece);
}

type Work = (collectives: StepCollectives | undefined) => Promise<void> | void;

/** What a segment reads and writes at one length. */
interface BoundSegment {
  readonly run: BoundRun | undefined;
  readonly after: readonly Work[];
}

/** @returns undefined where a segment has no nodes: only host or wire work */
async function compile(
  { name, model }: PlannedSegment,
  { threads, provider = 'cpu', gpuIndex, profilePrefix }: OnnxExecutorOptions,
): Promise<GraphSession | undefined> {
  if (model === undefined) return undefined;
  return createGraphSession(model, {
    ...{ threads, provider },
    ...(gpuIndex === undefined ? {} : { gpuIndex }),
    ...(profilePrefix === undefined ? {} : { profilePrefix: `${profilePrefix}-${name}` }),
  });
}

/** Of a segment, in its model: plans of other lengths may have other names. */
interface SegmentNames {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

function bind(
  plan: StepPlan | LengthPlan,
  sessions: readonly (GraphSession | undefined)[],
  names: readonly SegmentNames[],
  memory: StepMemory,
): BoundSegment[] {
  const varying = 'varying' in plan ? plan.varying : [];

  const tensors = (values: readonly PlannedValue[], called: readonly string[]) =>
    Object.fromEntries(values.map((value, i) => [called[i]!, memory.tensor(value)]));
  return plan.segments.map(({ inputs, outputs, after }, i) => ({
    run: sessions[i]?.bind(
      { ...tensors(inputs, names[i]!.inputs), ...varyingTensors(varying[i] ?? []) },
      tensors(outputs, names[i]!.outputs),
    ),
    after: after.map((work) => bindWork(work, memory)),
  }));
}

function varyingTensors(values: readonly VaryingValue[]): Record<string, ort.Tensor> {
  return Object.fromEntries(
    values.map(({ name, dims, dataType, rawData }) => {
      const { buffer } = Uint8Array.from(rawData);
      if (dataType === ONNX_TYPES.int64) return [name, new ort.Tensor('int64', new BigInt64Array(buffer), dims)];
      if (dataType === ONNX_TYPES.int32) return [name, new ort.Tensor('int32', new Int32Array(buffer), dims)];
      invariant(dataType === ONNX_TYPES.float32, 'constants that vary are numbers');
      return [name, new ort.Tensor('float32', new Float32Array(buffer), dims)];
    }),
  );
}

function bindWork({ kernel: name, ...work }: PlannedWork, memory: StepMemory): Work {
  const inputs = work.inputs.map((value) => memory.array(value));
  const outputs = work.outputs.map((value) => memory.array(value));
  const kernel = KERNELS.get(name);
  const attrs = work.attrs as PlannedAttributes;
  if (kernel?.place === 'wire')
    return (collectives) => runCollective(kernel, collectives, inputs[0]!, outputs[0]!, attrs);
  invariant(kernel?.place === 'host', `${name} runs between segments`);
  const run: HostKernel['run'] = kernel.run;
  return () => run(inputs, outputs, { inputs: work.inputs, outputs: work.outputs }, attrs);
}

type PlannedAttributes = Parameters<HostKernel['run']>[3];

function runCollective(
  kernel: CollectiveKernel,
  collectives: StepCollectives | undefined,
  input: TypedArray,
  output: TypedArray,
  attrs: PlannedAttributes,
): Promise<void> {
  invariant(collectives !== undefined, 'collectives were given');
  invariant(input instanceof Float32Array && output instanceof Float32Array, 'collectives carry float32');
  return kernel.run(collectives, input, output, attrs);
}

/** The memory of every value that is not internal to one segment. */
class StepMemory {
  readonly crossingBytes: number;
  readonly #arrays: readonly TypedArray[];

  static of({ memory }: StepPlan, inputs: ReadonlyMap<string, TypedArray>, outputs: ReadonlyMap<string, TypedArray>) {
    const bound = { input: inputs, output: outputs };
    const arrays = memory.map((place) => ('name' in place ? bound[place.kind].get(place.name)! : arrayFor(place)));
    const crossing = arrays.filter((_, i) => memory[i]!.kind === 'crossing');
    return new StepMemory(
      arrays,
      crossing.reduce((sum, { byteLength }) => sum + byteLength, 0),
    );
  }

  private constructor(arrays: readonly TypedArray[], crossingBytes: number) {
    this.#arrays = arrays;
    this.crossingBytes = crossingBytes;
  }

  /** The same memory for a plan with the same places, none of them longer, and constants of its own. */
  forLength({ memory }: StepPlan): StepMemory {
    const arrays = memory.map((place, i) =>
      place.kind === 'constant' || place.kind === 'fill' ? arrayFor(place) : this.#arrays[i]!,
    );
    return new StepMemory(arrays, this.crossingBytes);
  }

  array({ memory, shape }: PlannedValue): TypedArray {
    const array = this.#arrays[memory]!;
    const size = sizeOf(shape);
    invariant(array.length >= size, 'memory has room for its value');
    return array.length === size ? array : array.subarray(0, size);
  }

  tensor(value: PlannedValue): ort.Tensor {
    const array = this.array(value);
    const dims = [...value.shape];
    if (array instanceof Float32Array) return new ort.Tensor('float32', array, dims);
    return array instanceof Int32Array ? new ort.Tensor('int32', array, dims) : new ort.Tensor('bool', array, dims);
  }
}

function arrayFor(place: Exclude<PlannedMemory, { name: string }>): TypedArray {
  if (place.kind === 'constant') return place.values;
  return place.kind === 'fill' ? filled(place.type, place.fill) : allocate(place.type);
}
