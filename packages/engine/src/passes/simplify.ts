// Cleans a recorded graph: movement that moves nothing, neutral arithmetic, repeated and unused nodes; no ONNX here.
import type { KernelTable } from '../kernels/table.js';
import { broadcastShape, sameShape, type TensorType } from '../tensor-type.js';
import { type Attributes, type Graph, GraphBuilder, type GraphNode, producer, type Value } from '../trace/graph.js';

/** Rewrites a node over already rewritten inputs; nothing when the node should stay as it is. */
type Rule = (
  builder: GraphBuilder,
  inputs: readonly Value[],
  attrs: Attributes,
  result: TensorType,
) => Value | undefined;

/**
 * An equal graph with fewer nodes. Every output is a result of a node and of one output only, so that each can be written
 * to memory of its own.
 */
export function simplify(graph: Graph, kernels?: KernelTable): Graph {
  const builder = new GraphBuilder(kernels);
  const rewritten = new Map<Value, Value>();
  const known = new Map<string, readonly Value[]>();
  for (const { name, value } of graph.inputs) rewritten.set(value, builder.input(name, value));

  const lookUp = (value: Value): Value => {
    const found = rewritten.get(value) ?? copyConstant(builder, value, known);
    rewritten.set(value, found);
    return found;
  };
  for (const node of graph.nodes) {
    const inputs = node.inputs.map(lookUp);
    const results = rewriteNode(builder, node, inputs, known);
    node.outputs.forEach((value, index) => {
      rewritten.set(value, results[index]!);
    });
  }

  const taken = new Set<Value>();
  const outputs = graph.outputs.map(({ name, value }) => {
    const found = lookUp(value);
    const own = found.source.kind === 'node' && !taken.has(found);
    const result = own ? found : builder.node('SlipCopy', [found], {})[0]!;
    taken.add(result);
    return { name, value: result };
  });
  const cleaned = builder.build(graph.name, outputs);
  return { ...cleaned, nodes: usedNodes(cleaned) };
}

function rewriteNode(
  builder: GraphBuilder,
  node: GraphNode,
  inputs: readonly Value[],
  known: Map<string, readonly Value[]>,
): readonly Value[] {
  const { name } = node.kernel;
  const before = builder.nodes.length;
  const single = RULES[name]?.(builder, inputs, node.attrs, node.outputs[0]!);
  if (single === undefined) return addOnce(builder, name, inputs, node.attrs, known);
  if (builder.nodes.length === before) return [single];
  // The rule appended one node; an equal one may exist.
  const { source } = single;
  if (source.kind !== 'node' || builder.nodes.length !== before + 1) return [single];
  builder.nodes.pop();
  return addOnce(builder, source.node.kernel.name, source.node.inputs, source.node.attrs, known);
}

function addOnce(
  builder: GraphBuilder,
  name: string,
  inputs: readonly Value[],
  attrs: Attributes,
  known: Map<string, readonly Value[]>,
): readonly Value[] {
  const key = `${name}(${inputs.map(({ id }) => id)})${JSON.stringify(attrs)}`;
  const existing = known.get(key);
  if (existing !== undefined) return existing;
  const results = builder.node(name, inputs, attrs);
  known.set(key, results);
  return results;
}

function copyConstant(builder: GraphBuilder, value: Value, known: Map<string, readonly Value[]>): Value {
  const { source } = value;
  if (source.kind === 'fill') {
    const key = `fill ${value.dtype} [${value.shape}] ${source.fill}`;
    const [fill] = known.get(key) ?? [builder.fill(value, source.fill)];
    known.set(key, [fill!]);
    return fill!;
  }
  if (source.kind !== 'constant') throw new Error(`value ${value.id} is used before it is made`);
  if (source.values.length > 4096) return builder.constant(value, source.values);
  const key = `constant ${value.dtype} [${value.shape}] ${source.values.join()}`;
  const [constant] = known.get(key) ?? [builder.constant(value, source.values)];
  known.set(key, [constant!]);
  return constant!;
}

function usedNodes(graph: Graph): readonly GraphNode[] {
  const used = new Set(graph.outputs.map(({ value }) => value));
  const kept: GraphNode[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((value) => used.has(value))) continue;
    for (const input of node.inputs) used.add(input);
    kept.push(node);
  }
  return kept.reverse();
}

const RULES: Readonly<Record<string, Rule>> = {
  Reshape: (builder, [x], _attrs, { shape }) => reshaped(builder, x!, shape),
  ExpandDims: (builder, [input], _attrs, { shape }) => reshaped(builder, input!, shape),
  Transpose: (builder, [x], attrs, result) => transposed(builder, x!, attrs.perm as number[], result),
  Cast: (_builder, [x], attrs) => (x!.dtype === attrs.dtype ? x : undefined),
  BroadcastTo: (builder, [x], _attrs, { shape }) => broadcast(builder, x!, shape),
  Tile: (builder, [x], attrs, { shape }) => {
    const reps = attrs.reps as number[];
    return reps.every((count, axis) => count === 1 || x!.shape[axis] === 1) ? broadcast(builder, x!, shape) : undefined;
  },
  Slice: (_builder, [x], _attrs, { shape }) => (sameShape(x!.shape, shape) ? x : undefined),
  PadV2: (_builder, [x], _attrs, { shape }) => (sameShape(x!.shape, shape) ? x : undefined),
  Concat: (_builder, inputs) => (inputs.length === 1 ? inputs[0] : undefined),
  AddN: (_builder, inputs) => (inputs.length === 1 ? inputs[0] : undefined),
  Sum: (builder, [x], _attrs, result) => withoutReduction(builder, x!, result),
  Mean: (builder, [x], _attrs, result) => withoutReduction(builder, x!, result),
  Max: (builder, [x], _attrs, result) => withoutReduction(builder, x!, result),
  Min: (builder, [x], _attrs, result) => withoutReduction(builder, x!, result),
  Add: (builder, [a, b], attrs, result) => {
    if (isFill(b!, 0)) return broadcast(builder, a!, result.shape);
    if (isFill(a!, 0)) return broadcast(builder, b!, result.shape);
    const negated = producer(b!, 'Neg');
    if (negated !== undefined) return builder.node('Sub', [a!, negated.inputs[0]!], {})[0];
    return elementwise('Add')(builder, [a!, b!], attrs, result);
  },
  Sub: (builder, [a, b], attrs, result) =>
    isFill(b!, 0) ? broadcast(builder, a!, result.shape) : elementwise('Sub')(builder, [a!, b!], attrs, result),
  Multiply: (builder, [a, b], attrs, result) => {
    if (isFill(b!, 1)) return broadcast(builder, a!, result.shape);
    if (isFill(a!, 1)) return broadcast(builder, b!, result.shape);
    return elementwise('Multiply')(builder, [a!, b!], attrs, result);
  },
  RealDiv: (builder, [a, b], attrs, result) =>
    isFill(b!, 1) ? broadcast(builder, a!, result.shape) : elementwise('RealDiv')(builder, [a!, b!], attrs, result),
  ...Object.fromEntries(
    ['Maximum', 'Minimum', 'Pow', 'SquaredDifference', 'Select']
      .concat(['Equal', 'NotEqual', 'Greater', 'GreaterEqual', 'Less', 'LessEqual'])
      .map((name) => [name, elementwise(name)]),
  ),
};

/**
 * The node over operands that are not expanded beforehand, where the other operands already give the result its shape.
 * tfjs' gradients of sums and means multiply by tensors of ones to expand; this removes them.
 */
function elementwise(name: string): Rule {
  return (builder, inputs, attrs, result) => {
    const operands = [...inputs];
    operands.forEach((operand, index) => {
      const smaller = beforeExpansion(builder, operand);
      if (smaller === undefined) return;
      const candidate = operands.map((other, i) => (i === index ? smaller : other));
      const shape = candidate.map((value) => value.shape).reduce(broadcastShape);
      if (sameShape(shape, result.shape)) operands[index] = smaller;
    });
    if (operands.every((operand, index) => operand === inputs[index])) return undefined;
    return builder.node(name, operands, attrs)[0];
  };
}

function beforeExpansion(builder: GraphBuilder, value: Value): Value | undefined {
  const { source } = value;
  if (source.kind === 'fill') {
    return value.shape.length === 0 ? undefined : builder.fill({ shape: [], dtype: value.dtype }, source.fill);
  }
  return producer(value, 'BroadcastTo')?.inputs[0];
}

function reshaped(builder: GraphBuilder, x: Value, shape: readonly number[]): Value {
  if (sameShape(x.shape, shape)) return x;
  const type = { shape, dtype: x.dtype };
  if (x.source.kind === 'fill') return builder.fill(type, x.source.fill);
  if (x.source.kind === 'constant') return builder.constant(type, x.source.values);
  const earlier = producer(x, 'Reshape');
  if (earlier !== undefined) return reshaped(builder, earlier.inputs[0]!, shape);
  return builder.node('Reshape', [x], { shape: [...shape] })[0]!;
}

function transposed(builder: GraphBuilder, x: Value, perm: readonly number[], result: TensorType): Value | undefined {
  const earlier = producer(x, 'Transpose');
  if (earlier !== undefined) {
    const first = earlier.attrs.perm as number[];
    const combined = perm.map((axis) => first[axis]!);
    return (
      transposed(builder, earlier.inputs[0]!, combined, result) ?? transpose(builder, earlier.inputs[0]!, combined)
    );
  }
  // Moving axes of length 1 moves no data.
  const longAxes = perm.filter((axis) => x.shape[axis] !== 1);
  if (longAxes.every((axis, i) => i === 0 || axis > longAxes[i - 1]!)) return reshaped(builder, x, result.shape);
  return undefined;
}

function transpose(builder: GraphBuilder, x: Value, perm: number[]): Value {
  return builder.node('Transpose', [x], { perm })[0]!;
}

function broadcast(builder: GraphBuilder, x: Value, shape: readonly number[]): Value {
  if (sameShape(x.shape, shape)) return x;
  if (x.source.kind === 'fill') return builder.fill({ shape, dtype: x.dtype }, x.source.fill);
  const earlier = producer(x, 'BroadcastTo');
  return builder.node('BroadcastTo', [earlier?.inputs[0] ?? x], { shape: [...shape] })[0]!;
}

/** Reductions over axes of length 1 only drop or keep those axes. */
function withoutReduction(builder: GraphBuilder, x: Value, result: TensorType): Value | undefined {
  const size = (shape: readonly number[]) => shape.reduce((product, dim) => product * dim, 1);
  if (size(x.shape) !== size(result.shape) || x.dtype !== result.dtype) return undefined;
  return reshaped(builder, x, result.shape);
}

function isFill({ source }: Value, fill: number): boolean {
  return source.kind === 'fill' && source.fill === fill;
}
