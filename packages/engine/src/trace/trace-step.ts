// Records a step as a graph and plans its segments; nothing is compiled or run here.
import { SlipError } from '@slip/core';
import { type Topology, withTopology } from '../collectives.js';
import type { KernelTable } from '../kernels/table.js';
import { autocast } from '../passes/autocast.js';
import { planRecomputation, type Recomputation } from '../passes/recompute.js';
import { type Segment, segment } from '../passes/segment.js';
import { simplify } from '../passes/simplify.js';
import type { StepDefinition, TensorSpec } from '../step.js';
import { tf } from '../tfjs.js';
import { TRACE_BACKEND, traceBackend } from './backend.js';
import { type Graph, GraphBuilder, type GraphNode, type HalfType } from './graph.js';
import { onBackend } from './on-backend.js';

/** A step as a graph. Equal topologies give equal graphs; ranks of one world differ by constants only. */
export interface TracedStep {
  readonly name: string;
  readonly topology: Topology;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** After cleaning. */
  readonly graph: Graph;
  readonly numRecordedNodes: number;
  readonly segments: readonly Segment[];
  /** In the order in which every rank performs them. */
  readonly collectives: readonly GraphNode[];
  readonly traceMs: number;
}

export interface TraceOptions {
  /** What the backward pass computes again instead of keeping it, default `cheap`; the same bits either way. */
  readonly recomputation?: Recomputation;
  /** Mixed precision with these halves; float32 without it. */
  readonly half?: HalfType;
  /** How each kernel is computed, where that is not the CPU's way. */
  readonly kernels?: KernelTable;
}

/**
 * Calls the step once on symbolic tensors. The tfjs backend is restored and no tensors are left behind.
 *
 * @throws SlipError `unsupported` when the step uses a kernel that cannot be traced, reads a value, draws random numbers
 *   or is asynchronous; `config` for an impossible topology
 */
export function traceStep(
  step: StepDefinition,
  topology: Topology = { rank: 0, worldSize: 1 },
  { recomputation = 'cheap', half, kernels }: TraceOptions = {},
): TracedStep {
  const start = performance.now();
  const recorded = withTopology(topology, () => onBackend(TRACE_BACKEND, () => recordStep(step)));
  const cleaned = simplify(recorded, kernels);
  const rounded = half === undefined ? cleaned : autocast(cleaned, half, kernels);
  const graph = planRecomputation(rounded, recomputation, kernels);
  const segments = segment(graph);
  return {
    name: step.name,
    topology,
    inputs: step.inputs,
    outputs: graph.outputs.map(({ name, value }) => ({
      name,
      shape: value.shape,
      dtype: value.dtype === 'float32' ? 'float32' : 'int32',
    })),
    graph,
    numRecordedNodes: recorded.nodes.length,
    segments,
    collectives: segments.flatMap(({ after }) => after.filter(({ kernel }) => kernel.place === 'wire')),
    traceMs: performance.now() - start,
  };
}

function recordStep(step: StepDefinition): Graph {
  const builder = new GraphBuilder();
  return traceBackend.record(step.name, builder, () => {
    const outputs: Graph['outputs'][number][] = [];
    tf.tidy(() => {
      const inputs = step.inputs.map(({ name, shape, dtype }) => {
        const value = builder.input(name, { shape, dtype });
        return [name, tf.engine().makeTensorFromTensorInfo(traceBackend.tensorInfo(value))];
      });
      const results: unknown = step.fn(Object.fromEntries(inputs));
      if (results instanceof Promise) {
        // Its own failure, if any, is the same mistake.
        results.catch(() => {});
        throw new SlipError(
          'unsupported',
          `step '${step.name}' is asynchronous; a step must return its tensors at once`,
        );
      }
      for (const [name, tensor] of Object.entries(results as Record<string, unknown>)) {
        outputs.push({ name, value: outputValue(step.name, name, tensor) });
      }
    });
    return builder.build(step.name, outputs);
  });
}

function outputValue(stepName: string, name: string, tensor: unknown) {
  if (!(tensor instanceof tf.Tensor)) {
    throw new SlipError('unsupported', `output '${name}' of step '${stepName}' is not a tensor; return tensors only`);
  }
  return traceBackend.value(tensor.dtype === 'bool' ? tf.cast(tensor, 'int32') : tensor);
}
