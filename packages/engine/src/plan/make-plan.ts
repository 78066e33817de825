// Traces a step and lowers it to a plan. Whoever finds the plan in a cache does not load this file, and so none of tfjs.
import type { Topology } from '../collectives.js';
import { borderName, lowerSegment } from '../onnx/lower.js';
import { estimateMemory } from '../passes/memory.js';
import { type Completion, type Milestones, milestonesOf } from '../passes/milestones.js';
import { type Segment, segment, storedAs } from '../passes/segment.js';
import type { StepDefinition } from '../step.js';
import type { GraphNode, Value } from '../trace/graph.js';
import { type TracedStep, type TraceOptions, traceStep } from '../trace/trace-step.js';
import type { PlannedMemory, PlannedSegment, PlannedValue, PlannedWork, StepPlan } from './step-plan.js';

export interface PlanOptions extends Topology, TraceOptions {
  readonly provider?: 'cpu' | 'cuda';
  /** The plan is to be merged with those of other lengths. */
  readonly anyLength?: boolean;
  readonly milestones?: (completion: Completion) => Milestones;
}

/** @throws SlipError as `traceStep` */
export function makePlan(step: StepDefinition, options: PlanOptions): StepPlan {
  const { rank, worldSize, rows, provider = 'cpu' } = options;
  const topology = { rank, worldSize, ...(rows === undefined ? {} : { rows }) };
  const traced = traceStep(step, topology, options);
  const cuts = milestonesOf(traced.graph, options.milestones);
  const segments = cuts.plan.cuts.length === 0 ? traced.segments : segment(traced.graph, cuts.plan.cuts);
  const places = new Places(traced);
  const planned = segments.map((each) => planSegment(each, places, provider, options.anyLength === true));
  return {
    outputs: traced.outputs,
    memory: places.memory,
    segments: planned,
    numCollectives: traced.collectives.length,
    activationBytes: estimateMemory(traced.graph, segments).activationBytes,
    cuts: cuts.plan,
    ...(cuts.asked === undefined ? {} : { milestones: cuts.asked }),
  };
}

function planSegment(each: Segment, places: Places, provider: 'cpu' | 'cuda', withShapes: boolean): PlannedSegment {
  const { level, piece } = each;
  const name = `segment${level}${piece === 0 ? '' : `-${piece}`}`;
  const after = each.after.map((node) => planWork(node, places));
  if (each.outputs.length === 0) return { name, numNodes: 0, inputs: [], outputs: [], after };
  const { model, numNodes } = lowerSegment(each, provider, undefined, withShapes);
  const place = (value: Value) => places.of(value);
  return { name, model, numNodes, inputs: each.inputs.map(place), outputs: each.outputs.map(place), after };
}

function planWork({ kernel, inputs, outputs, attrs }: GraphNode, places: Places): PlannedWork {
  const place = (value: Value) => places.of(value);
  return { kernel: kernel.name, inputs: inputs.map(place), outputs: outputs.map(place), attrs };
}

/** Gives each value its place in memory. */
class Places {
  readonly memory: PlannedMemory[] = [];
  readonly #places = new Map<Value, number>();

  constructor({ graph }: TracedStep) {
    for (const { name, value } of graph.inputs) this.#add(value, { kind: 'input', name });
    for (const { name, value } of graph.outputs) this.#add(value, { kind: 'output', name });
  }

  /** Reshaped values share memory; values that cross a cut get theirs at the first request. */
  of(value: Value): PlannedValue {
    const { shape, dtype } = value;
    const stored = this.#places.has(value) ? value : storedAs(value);
    const memory = this.#places.get(stored) ?? this.#add(stored, memoryOf(stored));
    return { name: borderName(value), shape, dtype, memory };
  }

  #add(value: Value, memory: PlannedMemory): number {
    const place = this.memory.push(memory) - 1;
    this.#places.set(value, place);
    return place;
  }
}

function memoryOf({ source, shape, dtype }: Value): PlannedMemory {
  if (source.kind === 'constant') return { kind: 'constant', values: source.values };
  if (source.kind === 'fill') return { kind: 'fill', fill: source.fill, type: { shape, dtype } };
  return { kind: 'crossing', type: { shape, dtype } };
}
