// Compiles a traced step with ONNX Runtime and runs it in memory bound once; no tfjs at run time.
import { invariant, SlipError } from '@slip/core';
import type { StepCollectives, Topology } from '../collectives.js';
import type { CollectiveKernel, HostKernel } from '../kernels/kernel.js';
import { borderName, lowerSegment, MODEL_SESSION_CONFIG } from '../onnx/lower.js';
import { estimateMemory } from '../passes/memory.js';
import { type Completion, type MilestonePlan, type Milestones, milestonesOf } from '../passes/milestones.js';
import { type Segment, segment, storedAs } from '../passes/segment.js';
import type { StepBindings, StepDefinition, StepExecutor } from '../step.js';
import { allocate, sizeOf, type TypedArray } from '../tensor-type.js';
import { constantArray } from '../trace/backend.js';
import { type GraphNode, isConstant, type Value } from '../trace/graph.js';
import { type TracedStep, type TraceOptions, traceStep } from '../trace/trace-step.js';
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
  const { rank, worldSize, rows } = options;
  const topology = { rank, worldSize, ...(rows === undefined ? {} : { rows }) };
  const traced = traceStep(step, topology, options);
  const { collectives } = options;
  if (traced.collectives.length > 0 && collectives === undefined) {
    throw new SlipError(
      'internal',
      `step '${step.name}' has collectives at world size ${options.worldSize}; pass them`,
    );
  }
  const inputs = bindMemory('input', traced.inputs, options.inputs);
  const outputs = bindMemory('output', traced.outputs, options.outputs);
  const memory = new StepMemory(traced, inputs, outputs);
  const start = performance.now();
  const plan = milestonesOf(traced.graph, options.milestones);
  const segments = plan.cuts.length === 0 ? traced.segments : segment(traced.graph, plan.cuts);
  const compiled: CompiledSegment[] = [];
  for (const each of segments) compiled.push(await compile(each, memory, options));
  const sessionMs = performance.now() - start;

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
        for (const group of groupsAt(plan, compiled.length, i)) onMilestone?.(group);
        const startMs = performance.now();
        await session?.run(feeds, fetches);
        if (session !== undefined) options.onSegment?.(segmentName(segments[i]!), startMs, performance.now());
        for (const work of after) await work(collectives);
      }
      for (const group of groupsAt(plan, compiled.length, compiled.length)) onMilestone?.(group);
    },
    endProfile,
    close: async () => {
      endProfile();
      for (const { session } of compiled.splice(0)) await session?.release();
    },
    stats: {
      nodes: compiled.reduce((sum, { numNodes }) => sum + numNodes, 0),
      segments: segments.length,
      collectives: traced.collectives.length,
      crossingBytes: memory.crossingBytes,
      activationBytes: estimateMemory(traced.graph, segments).activationBytes,
      traceMs: traced.traceMs,
      sessionMs,
    },
  };
}

function segmentName({ level, piece }: Segment): string {
  return `segment${level}${piece === 0 ? '' : `-${piece}`}`;
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
  readonly numNodes: number;
}

async function compile(segment: Segment, memory: StepMemory, options: OnnxExecutorOptions): Promise<CompiledSegment> {
  const after = segment.after.map((node) => bindWork(node, memory));
  if (segment.outputs.length === 0) return { feeds: {}, fetches: {}, after, numNodes: 0 };
  const provider = options.provider ?? 'cpu';
  const { model, numNodes } = lowerSegment(segment, provider);
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
      : {
          enableProfiling: true,
          profileFilePrefix: `${options.profilePrefix}-${segmentName(segment)}`,
        }),
  });
  const bind = (values: readonly Value[]) =>
    Object.fromEntries(values.map((value) => [borderName(value), memory.tensor(value)]));
  return { session, feeds: bind(segment.inputs), fetches: bind(segment.outputs), after, numNodes };
}

function bindWork(node: GraphNode, memory: StepMemory): Work {
  const inputs = node.inputs.map((value) => memory.array(value));
  const outputs = node.outputs.map((value) => memory.array(value));
  const { kernel } = node;
  if (kernel.place === 'wire')
    return (collectives) => runCollective(kernel, collectives, inputs[0]!, outputs[0]!, node.attrs);
  invariant(kernel.place === 'host', `${kernel.name} runs between segments`);
  const run: HostKernel['run'] = kernel.run;
  return () => run(inputs, outputs, { inputs: node.inputs, outputs: node.outputs }, node.attrs);
}

function runCollective(
  kernel: CollectiveKernel,
  collectives: StepCollectives | undefined,
  input: TypedArray,
  output: TypedArray,
  attrs: GraphNode['attrs'],
): Promise<void> {
  invariant(collectives !== undefined, 'collectives were given');
  invariant(input instanceof Float32Array && output instanceof Float32Array, 'collectives carry float32');
  return kernel.run(collectives, input, output, attrs);
}

/** The memory of every value that is not internal to one segment. */
class StepMemory {
  crossingBytes = 0;
  readonly #arrays = new Map<Value, TypedArray>();

  constructor(traced: TracedStep, inputs: ReadonlyMap<string, TypedArray>, outputs: ReadonlyMap<string, TypedArray>) {
    for (const { name, value } of traced.graph.inputs) this.#arrays.set(value, inputs.get(name)!);
    for (const { name, value } of traced.graph.outputs) this.#arrays.set(value, outputs.get(name)!);
  }

  /** Reshaped values share memory; values that cross a cut get theirs at the first request. */
  array(value: Value): TypedArray {
    const stored = this.#arrays.has(value) ? value : storedAs(value);
    const known = this.#arrays.get(stored);
    if (known !== undefined) return known;
    const array = isConstant(stored) ? constantArray(stored) : allocate(stored);
    if (!isConstant(stored)) this.crossingBytes += array.byteLength;
    this.#arrays.set(stored, array);
    return array;
  }

  tensor(value: Value): ort.Tensor {
    const array = this.array(value);
    invariant(array.length === sizeOf(value.shape), 'memory has the size of its value');
    const dims = [...value.shape];
    if (array instanceof Float32Array) return new ort.Tensor('float32', array, dims);
    return array instanceof Int32Array ? new ort.Tensor('int32', array, dims) : new ort.Tensor('bool', array, dims);
  }
}
