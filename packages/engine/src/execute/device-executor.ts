// Runs a compiled step on a device with memory of its own: what the next segment or the next step needs stays there, and only what the
// host reads crosses. The CPU's executor, which writes in place, is onnx-executor.ts.
import { invariant, SlipError } from '@slip/core';
import type { StepCollectives } from '../collectives.js';
import type { CollectiveKernel } from '../kernels/kernel.js';
import { DEVICE_KERNELS } from '../kernels/table.js';
import type { Provider } from '../onnx/emitter.js';
import { borderName, lowerSegment, MODEL_SESSION_CONFIG } from '../onnx/lower.js';
import { estimateMemory } from '../passes/memory.js';
import { type MilestonePlan, milestonesOf } from '../passes/milestones.js';
import { type Segment, segment, storedAs } from '../passes/segment.js';
import type { StepDefinition, StepExecutor } from '../step.js';
import { allocate, type TypedArray } from '../tensor-type.js';
import { constantArray, type GraphNode, isConstant, type Value } from '../trace/graph.js';
import type { TracedStep } from '../trace/trace-step.js';
import { bindMemory, boundArray } from './bindings.js';
import type { OrtDeviceMemory } from './device-memory.js';
import { groupsAt, type OnnxExecutorOptions } from './onnx-executor.js';
import * as ort from './onnx-runtime.js';

export interface DeviceExecutorOptions extends Omit<OnnxExecutorOptions, 'provider'> {
  readonly provider: Provider;
  /** Inputs that are in it when the executor is made are read from it, not from the host. */
  readonly memory?: OrtDeviceMemory;
  /** Outputs that stay in that memory under their names, instead of being copied to the host. */
  readonly kept?: readonly string[];
}

/** @throws SlipError as `createOnnxExecutor` */
export async function createDeviceExecutor(
  step: StepDefinition,
  options: DeviceExecutorOptions,
): Promise<StepExecutor> {
  const { rank, worldSize, rows, collectives, memory } = options;
  const topology = { rank, worldSize, ...(rows === undefined ? {} : { rows }) };
  const { traceStep } = await import('../trace/trace-step.js');
  const traced = traceStep(step, topology, { ...options, kernels: DEVICE_KERNELS });
  if (traced.collectives.length > 0 && collectives === undefined) {
    throw new SlipError('internal', `step '${step.name}' has collectives at world size ${worldSize}; pass them`);
  }
  const kept = new Set(options.kept ?? []);
  invariant(kept.size === 0 || memory !== undefined, 'what is kept has a memory to be kept in');
  const isHeld = ({ name }: { readonly name: string }) => memory?.has(name) === true;
  const inputs = bindMemory(
    'input',
    traced.inputs.filter((spec) => !isHeld(spec)),
    options.inputs,
  );
  const outputs = bindMemory(
    'output',
    traced.outputs.filter(({ name }) => !kept.has(name)),
    options.outputs,
  );
  const places = new Places(traced, { inputs, outputs, kept, ...(memory === undefined ? {} : { memory }) });
  const start = performance.now();
  const { plan } = milestonesOf(traced.graph, options.milestones);
  const segments = plan.cuts.length === 0 ? traced.segments : segment(traced.graph, plan.cuts);
  const compiled: CompiledSegment[] = [];
  for (const each of segments) compiled.push(await compile(each, segments, places, options));
  const sessionMs = performance.now() - start;
  return {
    input: (name) => boundArray('input', inputs, name),
    output: (name) => boundArray('output', outputs, name),
    run: (onMilestone) => runSegments(step.name, compiled, places, plan, collectives, onMilestone),
    close: async () => {
      for (const { session, outputs } of compiled.splice(0)) {
        if (session === undefined) continue;
        if (memory !== undefined && outputs.some((value) => places.isKept(value))) memory.own(session);
        else await session.release();
      }
    },
    stats: {
      nodes: compiled.reduce((sum, { numNodes }) => sum + numNodes, 0),
      segments: segments.length,
      collectives: traced.collectives.length,
      crossingBytes: places.crossingBytes,
      activationBytes: estimateMemory(traced.graph, segments).activationBytes,
      traceMs: traced.traceMs,
      sessionMs,
      fromCache: false,
    },
  };
}

interface CompiledSegment {
  /** Absent where a segment has no nodes: only wire work. */
  readonly session?: ort.InferenceSession;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly after: readonly GraphNode[];
  /** Values on the device that no later segment reads. */
  readonly lastUsed: readonly Value[];
  readonly numNodes: number;
}

async function compile(
  each: Segment,
  all: readonly Segment[],
  places: Places,
  { provider, threads }: DeviceExecutorOptions,
): Promise<CompiledSegment> {
  const { inputs, outputs, after } = each;
  const later = new Set(all.slice(all.indexOf(each) + 1).flatMap((segment) => segment.inputs));
  const lastUsed = [...inputs, ...outputs].filter((value) => places.isTransient(value) && !later.has(value));
  if (outputs.length === 0) return { inputs, outputs, after, lastUsed, numNodes: 0 };
  const { model, numNodes } = lowerSegment(each, provider);
  const session = await ort.InferenceSession.create(model, {
    executionProviders: [provider],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    enableMemPattern: false,
    extra: MODEL_SESSION_CONFIG,
    // What it cannot do there it says at every start otherwise.
    logSeverityLevel: 3,
    preferredOutputLocation: Object.fromEntries(
      outputs.map((value) => [borderName(value), places.isOnHost(value) ? 'cpu' : 'gpu-buffer']),
    ),
  });
  return { session, inputs, outputs, after, lastUsed, numNodes };
}

async function runSegments(
  stepName: string,
  compiled: readonly CompiledSegment[],
  places: Places,
  plan: MilestonePlan,
  collectives: StepCollectives | undefined,
  onMilestone: ((group: number) => void) | undefined,
): Promise<void> {
  if (compiled.length === 0) throw new SlipError('internal', `step '${stepName}' was run after it was closed`);
  for (const [i, { session, inputs, outputs, after, lastUsed }] of compiled.entries()) {
    for (const group of groupsAt(plan, compiled.length, i)) onMilestone?.(group);
    if (session !== undefined) {
      const results = await session.run(
        Object.fromEntries(inputs.map((value) => [borderName(value), places.feed(value)])),
      );
      for (const value of outputs) places.store(value, results[borderName(value)]!);
    }
    for (const node of after) await talk(node, places, collectives);
    for (const value of lastUsed) places.drop(value);
  }
  for (const group of groupsAt(plan, compiled.length, compiled.length)) onMilestone?.(group);
}

function talk(node: GraphNode, places: Places, collectives: StepCollectives | undefined): Promise<void> {
  const { kernel } = node;
  invariant(kernel.place === 'wire' && collectives !== undefined, `${kernel.name} talks, and has whom to talk to`);
  const run: CollectiveKernel['run'] = kernel.run;
  const [input, output] = [places.array(node.inputs[0]!), places.array(node.outputs[0]!)];
  invariant(input instanceof Float32Array && output instanceof Float32Array, 'collectives carry float32');
  return run(collectives, input, output, node.attrs);
}

interface Bound {
  readonly inputs: ReadonlyMap<string, TypedArray>;
  readonly outputs: ReadonlyMap<string, TypedArray>;
  readonly memory?: OrtDeviceMemory;
  readonly kept: ReadonlySet<string>;
}

/** Where each value that is not internal to one segment is: in host memory, in the memory of the caller's device, or on the device until its last use. */
class Places {
  crossingBytes = 0;
  readonly #arrays = new Map<Value, TypedArray>();
  /** By name in the caller's device memory. */
  readonly #held = new Map<Value, string>();
  readonly #kept = new Map<Value, string>();
  readonly #transient = new Map<Value, ort.Tensor>();
  /** What the wire reads or makes. */
  readonly #wired: ReadonlySet<Value>;
  readonly #memory: OrtDeviceMemory | undefined;

  constructor(traced: TracedStep, { inputs, outputs, memory, kept }: Bound) {
    this.#memory = memory;
    for (const { name, value } of traced.graph.inputs) {
      const array = inputs.get(name);
      if (array === undefined) this.#held.set(value, name);
      else this.#arrays.set(value, array);
    }
    for (const { name, value } of traced.graph.outputs) {
      if (kept.has(name)) this.#kept.set(value, name);
      else this.#arrays.set(value, outputs.get(name)!);
    }
    this.#wired = new Set(
      traced.collectives.flatMap((node) => [...node.inputs.map(storedAs), ...node.outputs.map(storedAs)]),
    );
  }

  isOnHost(value: Value): boolean {
    return this.#arrays.has(value) || this.#wired.has(value);
  }

  isKept(value: Value): boolean {
    return this.#kept.has(value);
  }

  isTransient(value: Value): boolean {
    return !this.isOnHost(value) && !this.#held.has(value) && !this.#kept.has(value);
  }

  /** Host memory of a value; a reshaped one shares it. */
  array(value: Value): TypedArray {
    const stored = this.#arrays.has(value) ? value : storedAs(value);
    const known = this.#arrays.get(stored);
    if (known !== undefined) return known;
    const array = isConstant(stored) ? constantArray(stored) : allocate(stored);
    if (!isConstant(stored)) this.crossingBytes += array.byteLength;
    this.#arrays.set(stored, array);
    return array;
  }

  feed(value: Value): ort.Tensor {
    const held = this.#held.get(value) ?? this.#kept.get(value);
    if (held !== undefined) return this.#memory!.tensor(held);
    const transient = this.#transient.get(value);
    if (transient !== undefined) return transient;
    const array = this.array(value);
    const dims = [...value.shape];
    if (array instanceof Float32Array) return new ort.Tensor('float32', array, dims);
    return array instanceof Int32Array ? new ort.Tensor('int32', array, dims) : new ort.Tensor('bool', array, dims);
  }

  store(value: Value, result: ort.Tensor): void {
    const kept = this.#kept.get(value);
    if (kept !== undefined) this.#memory!.keep(kept, result);
    else if (this.isOnHost(value)) this.array(value).set(result.data as TypedArray);
    else this.#transient.set(value, result);
  }

  drop(value: Value): void {
    this.#transient.get(value)?.dispose();
    this.#transient.delete(value);
  }
}
