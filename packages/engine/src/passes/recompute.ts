// Computes forward values again in the backward pass instead of keeping them (activation checkpointing: Chen et al. 2016); pure.
import type { KernelTable } from '../kernels/table.js';
import type { Graph, GraphNode, Value } from '../trace/graph.js';
import { GraphBuilder, producer } from '../trace/graph.js';

/**
 * What is computed again: nothing; single passes over memory whose operands are kept anyway; or everything between two block
 * boundaries that is not one itself. The results have the same bits.
 */
export type Recomputation = 'none' | 'cheap' | 'blocks';

/** One pass over memory each, worth less than the memory of their results. */
const CHEAP_KERNELS = new Set([
  'SlipLayerNorm',
  'SlipGelu',
  'SlipQuickGelu',
  'Transpose',
  'Relu',
  'SlipNarrow',
  'SlipWiden',
]);

/** An equal graph without boundaries. Only steps with an output `loss` have a backward pass; others stay as they are. */
export function planRecomputation(graph: Graph, what: Recomputation, kernels?: KernelTable): Graph {
  const forward = ancestorsOf(graph.outputs.filter(({ name }) => name === 'loss').map(({ value }) => value));
  const repeated =
    what === 'none' ? new Set<GraphNode>() : what === 'cheap' ? cheapNodes(graph, forward) : blockNodes(graph, forward);
  return new Rewriting(graph, forward, repeated, new GraphBuilder(kernels)).run();
}

/** Nodes that a value is made from. */
function ancestorsOf(values: readonly Value[]): Set<GraphNode> {
  const found = new Set<GraphNode>();
  const open = [...values];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (value.source.kind !== 'node' || found.has(value.source.node)) continue;
    found.add(value.source.node);
    open.push(...value.source.node.inputs);
  }
  return found;
}

/** Nodes of the forward pass between two boundaries. What the host or other ranks made is kept. */
function blockNodes(graph: Graph, forward: ReadonlySet<GraphNode>): Set<GraphNode> {
  const boundaries = graph.nodes.filter(isBoundary);
  const below = ancestorsOf(boundaries.map(({ inputs }) => inputs[0]!));
  const after = new Set<Value>(boundaries.flatMap(({ outputs }) => outputs));
  const inside = new Set<GraphNode>();
  for (const node of graph.nodes) {
    if (!node.inputs.some((value) => after.has(value))) continue;
    for (const value of node.outputs) after.add(value);
    if (forward.has(node) && below.has(node) && node.kernel.place === 'graph' && !isBoundary(node)) inside.add(node);
  }
  return inside;
}

/** Cheap nodes whose operands the backward pass keeps without them, or computes again. */
function cheapNodes(graph: Graph, forward: ReadonlySet<GraphNode>): Set<GraphNode> {
  const kept = new Set<Value>();
  for (const node of graph.nodes) {
    if (!forward.has(node)) for (const value of node.inputs) kept.add(storage(value));
  }
  const isCheap = (node: GraphNode) => forward.has(node) && CHEAP_KERNELS.has(node.kernel.name);
  const repeated = new Set<GraphNode>();
  const isThere = (value: Value): boolean => {
    const stored = storage(value);
    const { source } = stored;
    return source.kind !== 'node' || repeated.has(source.node) || (kept.has(stored) && !isCheap(source.node));
  };
  for (const node of graph.nodes) if (isCheap(node) && node.inputs.every(isThere)) repeated.add(node);
  return repeated;
}

/** The value whose memory this one shares. */
function storage(value: Value): Value {
  const alias = producer(value, 'Reshape') ?? producer(value, 'SlipWiden') ?? producer(value, 'SlipBoundary');
  return alias === undefined ? value : storage(alias.inputs[0]!);
}

function isBoundary({ kernel }: GraphNode): boolean {
  return kernel.name === 'SlipBoundary';
}

class Rewriting {
  readonly #graph: Graph;
  readonly #forward: ReadonlySet<GraphNode>;
  readonly #repeated: ReadonlySet<GraphNode>;
  readonly #builder: GraphBuilder;
  readonly #values = new Map<Value, Value>();
  /** Values of the forward pass as the backward pass sees them, where those are others. */
  readonly #again = new Map<Value, Value>();

  constructor(graph: Graph, forward: ReadonlySet<GraphNode>, repeated: ReadonlySet<GraphNode>, builder: GraphBuilder) {
    this.#graph = graph;
    this.#forward = forward;
    this.#repeated = repeated;
    this.#builder = builder;
  }

  run(): Graph {
    const { name, inputs, nodes, outputs } = this.#graph;
    for (const input of inputs) this.#values.set(input.value, this.#builder.input(input.name, input.value));
    for (const node of nodes) {
      if (isBoundary(node)) {
        this.#values.set(node.outputs[0]!, this.#value(node.inputs[0]!));
        continue;
      }
      const isForward = this.#forward.has(node);
      const operands = node.inputs.map((value) => (isForward ? this.#value(value) : this.#backwardValue(value, node)));
      this.#add(node, operands, this.#values);
    }
    return this.#builder.build(
      name,
      outputs.map((output) => ({ name: output.name, value: this.#value(output.value) })),
    );
  }

  #add(node: GraphNode, operands: readonly Value[], into: Map<Value, Value>, after?: readonly Value[]): void {
    const { half } = node;
    const extras = { ...(after === undefined ? {} : { after }), ...(half === undefined ? {} : { half }) };
    const results = this.#builder.node(node.kernel.name, operands, node.attrs, extras);
    node.outputs.forEach((value, index) => {
      into.set(value, results[index]!);
    });
  }

  #value(value: Value): Value {
    return this.#builder.copied(value, this.#values);
  }

  /** The value for a node of the backward pass: computed again just before, where that was decided. */
  #backwardValue(value: Value, user: GraphNode): Value {
    const { source } = value;
    if (source.kind !== 'node' || !this.#isRepeatedFor(source.node)) return this.#value(value);
    const known = this.#again.get(value);
    if (known !== undefined) return known;
    const operands = source.node.inputs.map((operand) => this.#backwardValue(operand, user));
    this.#add(source.node, operands, this.#again, this.#gradientsOf(user));
    return this.#again.get(value)!;
  }

  /** A reshape of what is computed again is made again too. */
  #isRepeatedFor(node: GraphNode): boolean {
    if (this.#repeated.has(node)) return true;
    if (!this.#forward.has(node) || node.kernel.name !== 'Reshape') return false;
    const { source } = node.inputs[0]!;
    return source.kind === 'node' && this.#isRepeatedFor(source.node);
  }

  /** What the backward pass has made of the operands of a node: nothing is computed again before it. */
  #gradientsOf({ inputs }: GraphNode): Value[] {
    return inputs
      .filter(({ source }) => source.kind === 'node' && !this.#forward.has(source.node))
      .map((value) => this.#value(value));
  }
}
