// Turns a segment of a graph into an ONNX model; how each kernel is written is in the kernel table.
import { ONNX_TYPES } from '../kernels/elementwise.js';
import type { Segment } from '../passes/segment.js';
import { sizeOf, type TensorType } from '../tensor-type.js';
import { constantArray, halfOf, type Value } from '../trace/graph.js';
import { Emitter, type Provider } from './emitter.js';
import { enterSegment, type Halves, leaveSegment, lowerNode } from './lower-halves.js';
import { encodeModel, type NodeProto, type ValueInfoProto } from './model-proto.js';

export interface LoweredSegment {
  readonly model: Uint8Array;
  readonly numNodes: number;
}

/**
 * What every session of a lowered model has to be created with: equal nodes are written once where that is wanted, and what is
 * computed again on purpose must not be merged.
 */
export const MODEL_SESSION_CONFIG = {
  optimization: { disable_specified_optimizers: 'CommonSubexpressionElimination' },
};

/** Larger tensors of one repeated number are expanded when the session is built, not stored in the model. */
const MAX_STORED_FILL = 65_536;

/** The name of a segment's input or output in its model. */
export function borderName(value: Value): string {
  return `v${value.id}`;
}

/**
 * The segment's inputs and outputs keep their order; their names are `borderName`, and their floats float32.
 * @param halves as the provider computes them: the CPU has no kernels for them, GPUs have
 * @param withShapes the model tells the shape of every traced value
 */
export function lowerSegment(
  segment: Segment,
  provider: Provider = 'cpu',
  halves: Halves = provider === 'cpu' ? 'emulated' : 'native',
  withShapes = false,
): LoweredSegment {
  const emit = new Emitter(provider);
  const names = new Map<Value, string>(
    segment.inputs.map((value) => [value, enterSegment(emit, borderName(value), halfOf(value), halves)]),
  );
  const traced = new Map<string, Value>();
  const nameOf = (value: Value): string => {
    const name = names.get(value) ?? emitConstant(emit, value);
    names.set(value, name);
    return name;
  };
  for (const node of segment.nodes) {
    emit.repeat(node.after !== undefined);
    const operands = node.inputs.map((value) => ({ name: nameOf(value), shape: value.shape, dtype: value.dtype }));
    const results = lowerNode(node, operands, emit, halves);
    node.outputs.forEach((value, index) => {
      names.set(value, results[index]!);
      traced.set(results[index]!, value);
    });
  }
  emit.repeat(false);
  const results = new Map(
    segment.outputs.map((value) => [borderName(value), leaveSegment(emit, nameOf(value), halfOf(value), halves)]),
  );
  const { nodes, constants } = emit.finish(results);
  const model = encodeModel({
    name: `segment${segment.level}`,
    node: nodes,
    initializer: constants,
    input: segment.inputs.map((value) => valueInfo(value)),
    output: segment.outputs.map((value) => valueInfo(value)),
    valueInfo: withShapes ? shapesOf(nodes, traced, emit.shapes) : [],
  });
  return { model, numNodes: nodes.length };
}

function emitConstant(emit: Emitter, value: Value): string {
  const { shape, dtype, source } = value;
  if (source.kind === 'fill' && sizeOf(shape) > MAX_STORED_FILL) {
    return emit.op('Expand', [emit.scalar(source.fill, dtype), emit.ints(shape)]);
  }
  return emit.constant(constantArray(value), shape, dtype);
}

/** Of those that are made by a node under the name that they were traced with: halves may be something else on the way. */
function shapesOf(
  nodes: readonly NodeProto[],
  traced: ReadonlyMap<string, Value>,
  inside: ReadonlyMap<string, readonly number[]>,
): ValueInfoProto[] {
  return nodes.flatMap(({ output }) =>
    output.flatMap((name) => {
      const shape = inside.get(name);
      if (shape !== undefined) return [typeInfo(name, { shape, dtype: 'float32' })];
      const value = traced.get(name);
      return value === undefined || halfOf(value) !== undefined ? [] : [valueInfo(value, name)];
    }),
  );
}

function valueInfo(value: Value, name = borderName(value)): ValueInfoProto {
  return typeInfo(name, value);
}

function typeInfo(name: string, { shape, dtype }: TensorType): ValueInfoProto {
  const dim = shape.map((dimValue) => ({ dimValue }));
  return { name, type: { tensorType: { elemType: ONNX_TYPES[dtype], shape: { dim } } } };
}
