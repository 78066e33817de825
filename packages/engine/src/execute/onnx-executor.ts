// Compiles a traced step with ONNX Runtime and runs it in memory bound once; no tfjs at run time.
import { invariant, SlipError } from '@slip/core';
import type { StepCollectives, Topology } from '../collectives.js';
import type { CollectiveKernel, HostKernel } from '../kernels/kernel.js';
import { KERNELS } from '../kernels/table.js';
import { MODEL_SESSION_CONFIG } from '../onnx/lower.js';
import type { Completion, MilestonePlan, Milestones } from '../passes/milestones.js';
import { planOf } from '../plan/cached-plan.js';
import type { GraphCache } from '../plan/graph-cache.js';
import type { PlannedMemory, PlannedSegment, PlannedValue, PlannedWork, StepPlan } from '../plan/step-plan.js';
import type { StepBindings, StepDefinition, StepExecutor } from '../step.js';
import { allocate, sizeOf, type TypedArray } from '../tensor-type.js';
import { filled } from '../trace/graph.js';
import type { TraceOptions } from '../trace/trace-step.js';
import { bindMemory, boundArray } from './bindings.js';
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
 * Traces a step, compiles it for the CPU and binds it to memory. `run` blocks the thread while a segment runs: ONNX
 * Runtime's Node binding has no other way.
 *
 * @throws SlipError `unsupported` as `traceStep`; `internal` when bound memory does not fit or collectives are missing
 */
export async function createOnnxExecutor(step: StepDefinition, options: OnnxExecutorOptions): Promise<StepExecutor> {
  const begun = performance.now();
  const { plan, fromCache } = await planOf(step, options, options.graphCache);
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
  const memory = new StepMemory(plan, inputs, outputs);
  const start = performance.now();
  const compiled: CompiledSegment[] = [];
  for (const each of plan.segments) compiled.push(await compile(each, memory, options));
  const sessionMs = performance.now() - start;
  // Not the plan itself: its models would stay in memory for as long as the executor.
  const { cuts } = plan;
  const names = plan.segments.map(({ name }) => name);

  let isProfiling = options.profilePrefix !== undefined;
  const endProfile = () => {
    if (isProfiling) for (const { session } of compiled) session?.endProfiling();
    isProfiling = false;
  };

  return {
    input: (name) => boundArray('input', inputs, name),
    output: (name) => boundArray('output', outputs, name),
    run: async (onMilestone) => {
      if (compiled.length === 0) throw new SlipError('internal', `step '${step.name}' was run after it was closed`);
      for (const [i, { session, feeds, fetches, after }] of compiled.entries()) {
        for (const group of groupsAt(cuts, compiled.length, i)) onMilestone?.(group);
        const startMs = performance.now();
        await session?.run(feeds, fetches);
        if (session !== undefined) options.onSegment?.(names[i]!, startMs, performance.now());
        for (const work of after) await work(collectives);
      }
      for (const group of groupsAt(cuts, compiled.length, compiled.length)) onMilestone?.(group);
    },
    endProfile,
    close: async () => {
      endProfile();
      for (const { session } of compiled.splice(0)) await session?.release();
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
    },
  };
}

/** The groups that are complete when so many segments have run; the last level's pieces are the last of them. */
export function groupsAt({ cuts, pieces }: MilestonePlan, segments: number, done: number): number[] {
  const piece = done - (segments - cuts.length - 1);
  return [...pieces.keys()].filter((group) => pieces[group] === piece);
}

type Work = (collectives: StepCollectives | undefined) => Promise<void> | void;

interface CompiledSegment {
  /** Absent where a segment has no nodes: only host or wire work. */
  readonly session?: ort.InferenceSession;
  readonly feeds: Record<string, ort.Tensor>;
  readonly fetches: Record<string, ort.Tensor>;
  readonly after: readonly Work[];
}

async function compile(
  { name, model, ...segment }: PlannedSegment,
  memory: StepMemory,
  options: OnnxExecutorOptions,
): Promise<CompiledSegment> {
  const after = segment.after.map((work) => bindWork(work, memory));
  if (model === undefined) return { feeds: {}, fetches: {}, after };
  const provider = options.provider ?? 'cpu';
  const session = await ort.InferenceSession.create(model, {
    executionProviders: provider === 'cuda' ? [{ name: 'cuda', deviceId: options.gpuIndex ?? 0 }] : [provider],
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    // The pattern is one block planned after the first run, beside the memory of that run: twice the peak for no speed.
    enableMemPattern: false,
    extra: MODEL_SESSION_CONFIG,
    ...(options.profilePrefix === undefined
      ? {}
      : { enableProfiling: true, profileFilePrefix: `${options.profilePrefix}-${name}` }),
  });
  const bind = (values: readonly PlannedValue[]) =>
    Object.fromEntries(values.map((value) => [value.name, memory.tensor(value)]));
  return { session, feeds: bind(segment.inputs), fetches: bind(segment.outputs), after };
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
  crossingBytes = 0;
  readonly #arrays: readonly TypedArray[];

  constructor({ memory }: StepPlan, inputs: ReadonlyMap<string, TypedArray>, outputs: ReadonlyMap<string, TypedArray>) {
    const bound = { input: inputs, output: outputs };
    this.#arrays = memory.map((place) => ('name' in place ? bound[place.kind].get(place.name)! : this.#make(place)));
  }

  array({ memory }: PlannedValue): TypedArray {
    return this.#arrays[memory]!;
  }

  tensor(value: PlannedValue): ort.Tensor {
    const array = this.array(value);
    invariant(array.length === sizeOf(value.shape), 'memory has the size of its value');
    const dims = [...value.shape];
    if (array instanceof Float32Array) return new ort.Tensor('float32', array, dims);
    return array instanceof Int32Array ? new ort.Tensor('int32', array, dims) : new ort.Tensor('bool', array, dims);
  }

  #make(place: Exclude<PlannedMemory, { name: string }>): TypedArray {
    if (place.kind === 'constant') return place.values;
    if (place.kind === 'fill') return filled(place.type, place.fill);
    const array = allocate(place.type);
    this.crossingBytes += array.byteLength;
    return array;
  }
}
