// Cuts a graph where ranks must talk or the host must work: what runs together, and what crosses the cuts.
import { invariant } from '@slip/core';
import { type Graph, type GraphNode, producer, type Value } from '../trace/graph.js';

/** Nodes of one level, followed by the host's and the wire's work that only needs levels up to this one. */
export interface Segment {
  readonly level: number;
  /** Of a level that is cut into pieces, which one: from 0. */
  readonly piece: number;
  readonly nodes: readonly GraphNode[];
  /** Values computed earlier (or inputs of the step) that the nodes read. */
  readonly inputs: readonly Value[];
  /** Values computed here that live on: read by a later level, by the host or the wire, or outputs of the step. */
  readonly outputs: readonly Value[];
  /** Collectives and host work, in the order of the trace: the same on every rank. */
  readonly after: readonly GraphNode[];
}

/** The memory that a value's elements are in: a reshape shares that of what it reshapes, and halves are stored as float32. */
export function storedAs(value: Value): Value {
  const view = viewNode(value);
  return view === undefined ? value : storedAs(view.inputs[0]!);
}

function viewNode(value: Value): GraphNode | undefined {
  return producer(value, 'Reshape') ?? producer(value, 'SlipWiden');
}

/** The level of each value that a node makes; those that are not in it have level 0. */
export type Levels = ReadonlyMap<Value, number>;

/**
 * A value's level is the highest of those it is made from; what the wire or the host makes from level L has level L + 1.
 * Without collectives (world size 1) there is one segment.
 *
 * @param cuts places among the graph's nodes, ascending: the last level is cut before each, into pieces that run one after another
 */
export function segment(graph: Graph, cuts: readonly number[] = []): readonly Segment[] {
  const levels = levelsOf(graph);
  const lastLevel = lastLevelOf(graph, levels);
  const made = new Map<Value, Draft>();
  const drafts = Array.from({ length: lastLevel + 1 }, (_, level) => new Draft(level, 0, made));
  for (const [piece] of cuts.entries()) drafts.push(new Draft(lastLevel, piece + 1, made));
  let piece = 0;
  for (const [place, node] of graph.nodes.entries()) {
    while (piece < cuts.length && place >= cuts[piece]!) piece++;
    const level = nodeLevel(node, levels);
    if (node.kernel.place !== 'graph') drafts[level === lastLevel ? drafts.length - 1 : level]!.after.push(node);
    else drafts[level === lastLevel ? level + piece : level]!.add(node);
  }

  // What outlives its segment, known once every reader is placed.
  const kept = new Set(graph.outputs.map(({ value }) => value));
  for (const draft of drafts) {
    for (const value of draft.inputs) kept.add(value);
    for (const node of draft.after) for (const value of node.inputs) kept.add(storedAs(value));
  }
  return drafts.map((draft) => draft.finish(kept));
}

/** The level at which a node runs, or after which, for one of the host or the wire. */
export function nodeLevel({ inputs, after = [] }: GraphNode, levels: Levels): number {
  return [...inputs, ...after].reduce((level, value) => Math.max(level, levels.get(value) ?? 0), 0);
}

export function lastLevelOf(graph: Graph, levels: Levels): number {
  return graph.nodes.reduce((last, node) => Math.max(last, nodeLevel(node, levels)), 0);
}

export function levelsOf(graph: Graph): Levels {
  const levels = new Map<Value, number>();
  for (const node of graph.nodes) {
    const level = nodeLevel(node, levels);
    for (const value of node.outputs) levels.set(value, node.kernel.place === 'graph' ? level : level + 1);
  }
  return levels;
}

/** One segment while nodes are added to it. */
class Draft {
  readonly after: GraphNode[] = [];
  readonly inputs = new Set<Value>();
  readonly level: number;
  readonly piece: number;
  /** Which segment computes what, of all segments so far. */
  readonly #made: Map<Value, Draft>;
  readonly #nodes: GraphNode[] = [];
  readonly #computed = new Set<Value>();
  readonly #localViews = new Map<Value, Value>();

  constructor(level: number, piece: number, made: Map<Value, Draft>) {
    this.level = level;
    this.piece = piece;
    this.#made = made;
  }

  add(node: GraphNode): void {
    const inputs = node.inputs.map((value) => this.#local(value));
    const changed = inputs.some((value, index) => value !== node.inputs[index]);
    this.#nodes.push(changed ? { ...node, inputs } : node);
    for (const value of node.outputs) {
      this.#computed.add(value);
      this.#made.set(value, this);
    }
  }

  finish(kept: ReadonlySet<Value>): Segment {
    const { level, piece, after } = this;
    const outputs = [...this.#computed].filter((value) => kept.has(value));
    return { level, piece, nodes: this.#nodes, inputs: [...this.inputs], outputs, after };
  }

  /** The value as this segment sees it. A view from an earlier segment is repeated here, not stored a second time. */
  #local(value: Value): Value {
    const { source } = value;
    if (source.kind === 'constant' || source.kind === 'fill' || this.#computed.has(value)) return value;
    const view = viewNode(value);
    if (view === undefined) {
      const maker = this.#made.get(value);
      invariant(maker === undefined || maker.level <= this.level, 'a value is made before it is used');
      this.inputs.add(value);
      return value;
    }
    const known = this.#localViews.get(value);
    if (known !== undefined) return known;
    const input = this.#local(view.inputs[0]!);
    const outputs: Value[] = [];
    const node: GraphNode = { ...view, inputs: [input], outputs };
    outputs.push({ ...value, source: { kind: 'node', node, index: 0 } });
    this.#nodes.push(node);
    this.#localViews.set(value, outputs[0]!);
    return outputs[0]!;
  }
}
