// The recorded form of a step: values and the kernels that make them, in the order they were called; not ONNX.
import { invariant } from '@slip/core';
import type { Kernel } from '../kernels/kernel.js';
import { KERNELS, type KernelTable } from '../kernels/table.js';
import { allocate, type TensorType, type TypedArray } from '../tensor-type.js';
import type { tf } from '../tfjs.js';

export type Attributes = tf.NamedAttrMap;

/** A tensor of the step. `fill` is a constant of one repeated number, kept as that number. */
export interface Value extends TensorType {
  readonly id: number;
  readonly source:
    | { readonly kind: 'input'; readonly name: string }
    | { readonly kind: 'constant'; readonly values: TypedArray }
    | { readonly kind: 'fill'; readonly fill: number }
    | { readonly kind: 'node'; readonly node: GraphNode; readonly index: number };
}

export interface GraphNode {
  readonly kernel: Kernel;
  readonly inputs: readonly Value[];
  readonly attrs: Attributes;
  readonly outputs: readonly Value[];
  /** Repeats an equal node of the forward pass, but not before these values are there: the two must not be merged. */
  readonly after?: readonly Value[];
  /** Computes in halves: its float32 results hold nothing else. */
  readonly half?: HalfType;
}

/** Half the width of float32: IEEE's, or the upper half of float32. */
export type HalfType = 'float16' | 'bfloat16';

/** What a node may have beside kernel, operands and attributes. */
export type NodeExtras = Pick<GraphNode, 'after' | 'half'>;

export interface NamedValue {
  readonly name: string;
  readonly value: Value;
}

/** Nodes are in topological order: the order of the calls. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly NamedValue[];
  readonly nodes: readonly GraphNode[];
  readonly outputs: readonly NamedValue[];
}

/** Appends values and nodes to a graph. */
export class GraphBuilder {
  readonly #kernels: KernelTable;
  readonly inputs: NamedValue[] = [];
  readonly nodes: GraphNode[] = [];
  #numValues = 0;

  constructor(kernels: KernelTable = KERNELS) {
    this.#kernels = kernels;
  }

  input(name: string, type: TensorType): Value {
    const value = this.#value(type, { kind: 'input', name });
    this.inputs.push({ name, value });
    return value;
  }

  /** Keeps `values`: the caller must not change them. */
  constant(type: TensorType, values: TypedArray): Value {
    return this.#value(type, { kind: 'constant', values });
  }

  fill(type: TensorType, fill: number): Value {
    return this.#value(type, { kind: 'fill', fill });
  }

  node(kernelName: string, inputs: readonly Value[], attrs: Attributes, extras: NodeExtras = {}): readonly Value[] {
    const kernel = this.#kernels.get(kernelName);
    invariant(kernel !== undefined, `kernel ${kernelName} is in the table`);
    const outputs: Value[] = [];
    const node: GraphNode = { kernel, inputs, attrs, outputs, ...extras };
    kernel.infer(inputs, attrs).forEach((type, index) => {
      outputs.push(this.#value(type, { kind: 'node', node, index }));
    });
    this.nodes.push(node);
    return outputs;
  }

  /** The value of another graph in this one: what `known` says, or a copy of a constant. */
  copied(value: Value, known: Map<Value, Value>): Value {
    const found = known.get(value);
    if (found !== undefined) return found;
    const { source } = value;
    // Inputs and results of nodes are known before they are used.
    invariant(source.kind === 'constant' || source.kind === 'fill', `value ${value.id} is made before it is used`);
    const copy = source.kind === 'fill' ? this.fill(value, source.fill) : this.constant(value, source.values);
    known.set(value, copy);
    return copy;
  }

  build(name: string, outputs: readonly NamedValue[]): Graph {
    return { name, inputs: this.inputs, nodes: this.nodes, outputs };
  }

  #value({ shape, dtype }: TensorType, source: Value['source']): Value {
    return { id: this.#numValues++, shape, dtype, source };
  }
}

/** The node that makes a value, when it is of the given kernel. */
export function producer(value: Value, kernelName: string): GraphNode | undefined {
  const { source } = value;
  return source.kind === 'node' && source.node.kernel.name === kernelName ? source.node : undefined;
}

/** The half that a float32 value is limited to, where it is. */
export function halfOf({ dtype, source }: Value): HalfType | undefined {
  return dtype === 'float32' && source.kind === 'node' ? source.node.half : undefined;
}

export function isConstant({ source }: Value): boolean {
  return source.kind === 'constant' || source.kind === 'fill';
}

/** The elements of a constant in an array of its type. Not a copy: do not write to it. */
export function constantArray(value: Value): TypedArray {
  const { source } = value;
  if (source.kind === 'constant') return source.values;
  invariant(source.kind === 'fill', 'the value is constant');
  return filled(value, source.fill);
}

export function filled(type: TensorType, fill: number): TypedArray {
  return allocate(type).fill(fill);
}
