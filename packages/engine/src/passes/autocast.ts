// Mixed precision: which values of a graph are halves, by the rules of PyTorch's autocast; how they are computed is the lowering's.

import type { KernelTable } from '../kernels/table.js';
import type { Graph, GraphNode, Value } from '../trace/graph.js';
import { GraphBuilder, type HalfType, halfOf } from '../trace/graph.js';

/** Matrix products and convolutions: halves in, halves out, forward and backward. */
const HALF_KERNELS = new Set([
  ...['SlipLinear', 'SlipLinearWeightGrad', 'BatchMatMul', '_FusedMatMul', 'SlipAttention', 'SlipAttentionGrad'],
  ...['SlipConv', 'SlipConvInputGrad', 'SlipConvFilterGrad'],
]);

/** What loses too much in halves, or leaves their range: sums, norms, exponentials, losses. */
const FULL_KERNELS = new Set([
  ...['SlipLayerNorm', 'SlipLayerNormGrad', 'SlipCrossEntropy', 'SlipCrossEntropyGrad', 'Softmax', 'LogSoftmax'],
  ...['Sum', 'Mean', 'Prod', 'Exp', 'Log', 'Pow', 'Sqrt', 'Rsqrt', 'Reciprocal', 'Square', 'SquaredDifference', 'Erf'],
]);

/**
 * An equal graph in mixed precision: inputs, outputs, the host's and the wire's work are float32. Every other kernel computes in the
 * widest type of its operands, of which scalars do not count.
 */
export function autocast(graph: Graph, half: HalfType, kernels?: KernelTable): Graph {
  return new Autocast(graph, half, new GraphBuilder(kernels)).run();
}

class Autocast {
  readonly #graph: Graph;
  readonly #half: HalfType;
  readonly #builder: GraphBuilder;
  readonly #values = new Map<Value, Value>();
  /** Each value is converted once. */
  readonly #narrowed = new Map<Value, Value>();
  readonly #widened = new Map<Value, Value>();

  constructor(graph: Graph, half: HalfType, builder: GraphBuilder) {
    this.#graph = graph;
    this.#half = half;
    this.#builder = builder;
  }

  run(): Graph {
    const { name, inputs, nodes, outputs } = this.#graph;
    for (const input of inputs) this.#values.set(input.value, this.#builder.input(input.name, input.value));
    for (const node of nodes) {
      const given = node.inputs.map((value) => this.#builder.copied(value, this.#values));
      const isHalf = this.#computesInHalf(node, given);
      const operands = given.map((value) => (isHalf ? this.#narrow(value) : this.#widen(value)));
      const results = this.#builder.node(node.kernel.name, operands, node.attrs, isHalf ? { half: this.#half } : {});
      node.outputs.forEach((value, index) => {
        this.#values.set(value, results[index]!);
      });
    }
    return this.#builder.build(
      name,
      outputs.map((output) => ({
        name: output.name,
        value: this.#widen(this.#builder.copied(output.value, this.#values)),
      })),
    );
  }

  #computesInHalf({ kernel, outputs }: GraphNode, operands: readonly Value[]): boolean {
    if (HALF_KERNELS.has(kernel.name)) return true;
    if (FULL_KERNELS.has(kernel.name) || kernel.place !== 'graph' || outputs[0]!.dtype !== 'float32') return false;
    const floats = operands.filter(({ dtype, shape }) => dtype === 'float32' && shape.length > 0);
    return floats.length > 0 && floats.every((value) => halfOf(value) !== undefined);
  }

  /** Scalars stay as they are: they take the type of what they are combined with. */
  #narrow(value: Value): Value {
    if (value.dtype !== 'float32' || value.shape.length === 0 || halfOf(value) !== undefined) return value;
    const known = this.#narrowed.get(value);
    if (known !== undefined) return known;
    const narrowed = this.#builder.node('SlipNarrow', [value], {}, { half: this.#half })[0]!;
    this.#narrowed.set(value, narrowed);
    return narrowed;
  }

  #widen(value: Value): Value {
    if (halfOf(value) === undefined) return value;
    const known = this.#widened.get(value);
    if (known !== undefined) return known;
    const widened = this.#builder.node('SlipWiden', [value], {})[0]!;
    this.#widened.set(value, widened);
    return widened;
  }
}
