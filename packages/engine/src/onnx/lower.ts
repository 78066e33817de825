// Turns a segment of a graph into an ONNX model; how each kernel is written is in the kernel table.
import { invariant } from '@slip/core';
import { ONNX_TYPES } from '../kernels/elementwise.js';
import type { Segment } from '../passes/segment.js';
import { sizeOf } from '../tensor-type.js';
import { constantArray } from '../trace/backend.js';
import type { Value } from '../trace/graph.js';
import { Emitter, type Provider } from './emitter.js';
import { encodeModel, type ValueInfoProto } from './model-proto.js';

export interface LoweredSegment {
  readonly model: Uint8Array;
  readonly numNodes: number;
}

/** Larger tensors of one repeated number are expanded when the session is built, not stored in the model. */
const MAX_STORED_FILL = 65_536;

/** The name of a segment's input or output in its model. */
export function borderName(value: Value): string {
  return `v${value.id}`;
}

/** The segment's inputs and outputs keep their order; their names are `borderName`. */
export function lowerSegment(segment: Segment, provider: Provider = 'cpu'): LoweredSegment {
  const emit = new Emitter(provider);
  const names = new Map<Value, string>(segment.inputs.map((value) => [value, borderName(value)]));
  const nameOf = (value: Value): string => {
    const name = names.get(value) ?? emitConstant(emit, value);
    names.set(value, name);
    return name;
  };
  for (const { kernel, inputs, attrs, outputs } of segment.nodes) {
    invariant(kernel.place === 'graph', `${kernel.name} is not part of a segment`);
    const operands = inputs.map((value) => ({ name: nameOf(value), shape: value.shape, dtype: value.dtype }));
    const results = kernel.lower({ inputs: operands, outputs, attrs, emit });
    outputs.forEach((value, index) => {
      names.set(value, results[index]!);
    });
  }
  const results = new Map(segment.outputs.map((value) => [borderName(value), nameOf(value)]));
  const { nodes, constants } = emit.finish(results);
  const model = encodeModel({
    name: `segment${segment.level}`,
    node: nodes,
    initializer: constants,
    input: segment.inputs.map(valueInfo),
    output: segment.outputs.map(valueInfo),
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

function valueInfo(value: Value): ValueInfoProto {
  const dim = value.shape.map((dimValue) => ({ dimValue }));
  return { name: borderName(value), type: { tensorType: { elemType: ONNX_TYPES[value.dtype], shape: { dim } } } };
}
