// How much memory a step will need, from its graph alone: for a word before the run, not for allocation; pure.
import type { TensorType } from '../tensor-type.js';
import { sizeOf } from '../tensor-type.js';
import type { Graph, Value } from '../trace/graph.js';
import { isConstant } from '../trace/graph.js';
import { type Segment, storedAs } from './segment.js';

export interface MemoryEstimate {
  /** Inputs and outputs of the step: parameters and gradients among them. */
  readonly boundBytes: number;
  /** Values that live from one segment to a later one. */
  readonly crossingBytes: number;
  /** The most that lives inside a segment at one time. */
  readonly activationBytes: number;
}

/**
 * What ONNX Runtime's arena holds for each byte that lives: its regions grow by doubling and free blocks do not fit every request.
 * Measured on steps of ViT-S (docs/results, memory): 1.3 to 1.5 where much lives, more where little does.
 */
const ARENA_OVERHEAD = 1.4;

/** Liveness in the order of the nodes; a reshape shares the memory of what it reshapes. */
export function estimateMemory(graph: Graph, segments: readonly Segment[]): MemoryEstimate {
  const bound = new Set([...graph.inputs, ...graph.outputs].map(({ value }) => storedAs(value)));
  const crossing = new Set<Value>();
  let activationBytes = 0;
  for (const segment of segments) {
    for (const value of segment.outputs) if (!bound.has(storedAs(value))) crossing.add(storedAs(value));
    activationBytes = Math.max(activationBytes, peakInside(segment, bound));
  }
  return {
    boundBytes: total(bound),
    crossingBytes: total(crossing),
    activationBytes: Math.round(ARENA_OVERHEAD * activationBytes),
  };
}

function peakInside({ nodes, inputs, outputs }: Segment, bound: ReadonlySet<Value>): number {
  const elsewhere = new Set([...bound, ...inputs, ...outputs]);
  const lastUse = new Map<Value, number>();
  for (const [place, node] of nodes.entries()) for (const value of node.inputs) lastUse.set(storedAs(value), place);
  const live = new Set<Value>();
  let bytes = 0;
  let peak = 0;
  for (const [place, node] of nodes.entries()) {
    if (node.kernel.name === 'Reshape') continue;
    for (const value of node.outputs) {
      if (elsewhere.has(value) || !lastUse.has(value)) continue;
      live.add(value);
      bytes += bytesOf(value);
    }
    peak = Math.max(peak, bytes + 4 * (node.kernel.scratch?.(node.inputs) ?? 0));
    for (const value of new Set(node.inputs.map(storedAs))) {
      if (lastUse.get(value) === place && live.delete(value)) bytes -= bytesOf(value);
    }
  }
  return peak;
}

function total(values: ReadonlySet<Value>): number {
  return [...values].filter((value) => !isConstant(value)).reduce((sum, value) => sum + bytesOf(value), 0);
}

function bytesOf({ shape, dtype }: TensorType): number {
  return sizeOf(shape) * (dtype === 'bool' ? 1 : 4);
}
