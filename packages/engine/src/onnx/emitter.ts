// Collects ONNX nodes and constants while kernels are lowered; equal ones once, unused ones not at all.
import { ONNX_TYPES } from '../kernels/elementwise.js';
import type { OnnxAttribute, OnnxEmitter, OnnxOperand, ProductOptions } from '../kernels/kernel.js';
import type { DType, TypedArray } from '../tensor-type.js';
import type { AttributeProto, NodeProto, TensorProto } from './model-proto.js';
import { isCutIntoBlocks, rowBlocks } from './row-blocks.js';

/** Larger constants are not compared with others. */
const MAX_COMPARED_BYTES = 4096;

/** Execution providers differ in the operators that they have: what one lacks it would copy to the CPU and back. */
export type Provider = 'cpu' | 'cuda' | 'webgpu';

export class Emitter implements OnnxEmitter {
  /** Shapes of float32 values inside of what one kernel is lowered to, where the runtime could not infer them at every length. */
  readonly shapes = new Map<string, readonly number[]>();
  readonly #provider: Provider;
  readonly #nodes: NodeProto[] = [];
  readonly #constants: TensorProto[] = [];
  readonly #known = new Map<string, string[]>();
  /** What each reshaped value was before. */
  readonly #reshaped = new Map<string, string>();
  readonly #encoder = new TextEncoder();
  #numNames = 0;
  #isRepeating = false;

  /** Until told otherwise, nodes are not those that were written before, even where they are equal. */
  repeat(isRepeating: boolean): void {
    this.#isRepeating = isRepeating;
  }

  constructor(provider: Provider = 'cpu') {
    this.#provider = provider;
  }

  op(type: string, inputs: readonly string[], attributes: Readonly<Record<string, OnnxAttribute>> = {}): string {
    if (type === 'Reshape') return this.#reshape(inputs[0]!, inputs[1]!, attributes);
    return this.ops(type, inputs, attributes, { outputs: 1 })[0]!;
  }

  ops(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>>,
    options: { readonly outputs: number; readonly domain?: string },
  ): string[] {
    const domain = options.domain ?? '';
    const key = `${this.#isRepeating ? 'again ' : ''}${domain}.${type}(${inputs.join()})${JSON.stringify(attributes)}:${options.outputs}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const output = Array.from({ length: options.outputs }, () => this.#name());
    const attribute = Object.entries(attributes).map(([name, value]) => this.#attribute(name, value));
    this.#nodes.push({ name: `${type}_${output[0]}`, opType: type, domain, input: inputs, output, attribute });
    this.#known.set(key, output);
    return output;
  }

  product(a: string, b: string, { rank, transA = false, transB = false, alpha = 1 }: ProductOptions): string {
    if (this.#provider !== 'webgpu') {
      const attributes = { transA: transA ? 1 : 0, transB: transB ? 1 : 0, alpha: { float: alpha } };
      return this.ops('FusedMatMul', [a, b], attributes, { outputs: 1, domain: 'com.microsoft' })[0]!;
    }
    const perm = Array.from({ length: rank }, (_, axis) => axis);
    perm.push(...perm.splice(-2).reverse());
    const operand = (name: string, transposed: boolean) => (transposed ? this.op('Transpose', [name], { perm }) : name);
    const plain = this.op('MatMul', [operand(a, transA), operand(b, transB)]);
    return alpha === 1 ? plain : this.op('Mul', [plain, this.scalar(alpha)]);
  }

  rowsProduct(
    rows: OnnxOperand,
    matrix: OnnxOperand,
    { transB = false, bias }: { readonly transB?: boolean; readonly bias?: string } = {},
  ): string {
    const [numRows, depth] = rows.shape as [number, number];
    const width = matrix.shape[transB ? 0 : 1]!;
    if (this.#provider !== 'cpu' || !isCutIntoBlocks([depth, width])) {
      const operands = [rows.name, matrix.name, ...(bias === undefined ? [] : [bias])];
      return this.op('Gemm', operands, { transB: transB ? 1 : 0 });
    }
    const blocks = rowBlocks(numRows);
    const blocked = this.op('Reshape', [rows.name, this.ints([blocks, numRows / blocks, depth])]);
    // An axis more than the rows have keeps the runtime from joining the blocks to one product.
    const spread = this.op('Reshape', [matrix.name, this.ints([1, 1, ...matrix.shape])]);
    const inBlocks = [1, blocks, numRows / blocks, width];
    const product = this.#shaped(this.product(blocked, spread, { rank: 4, transB }), inBlocks);
    const biased = bias === undefined ? product : this.#shaped(this.op('Add', [product, bias]), inBlocks);
    return this.op('Reshape', [biased, this.ints([numRows, width])]);
  }

  sumOfOuterProducts(a: OnnxOperand, b: OnnxOperand): string {
    const [numRows, height] = a.shape as [number, number];
    const width = b.shape[1]!;
    if (this.#provider !== 'cpu' || !isCutIntoBlocks([height, width])) {
      return this.op('Gemm', [a.name, b.name], { transA: 1 });
    }
    // The runtime transposes A a few rows at a time, again for each panel of columns. Once is quicker, of the narrower one by far.
    const [narrow, wide] = height <= width ? [a, b] : [b, a];
    const shape = [Math.min(height, width), numRows];
    const transposed = this.#shaped(this.op('Transpose', [narrow.name], { perm: [1, 0] }), shape);
    const product = this.rowsProduct({ ...narrow, name: transposed, shape }, wide);
    return height <= width ? product : this.op('Transpose', [product], { perm: [1, 0] });
  }

  logSoftmax(x: string): string {
    if (this.#provider !== 'webgpu') return this.op('LogSoftmax', [x], { axis: -1 });
    const last = this.ints([-1]);
    const shifted = this.op('Sub', [x, this.op('ReduceMax', [x, last], { keepdims: 1 })]);
    const total = this.op('ReduceSum', [this.op('Exp', [shifted]), last], { keepdims: 1 });
    return this.op('Sub', [shifted, this.op('Log', [total])]);
  }

  sumRows(x: string, [rows, width]: readonly [number, number]): string {
    const matrix = this.op('Reshape', [x, this.ints([rows, width])]);
    // On the CPU a product with ones is limited by memory alone; ReduceSum takes three times as long.
    const sum =
      this.#provider === 'cpu'
        ? this.op('MatMul', [this.#ones(rows), matrix])
        : this.op('ReduceSum', [matrix, this.ints([0])], { keepdims: 1 });
    return this.op('Reshape', [sum, this.ints([width])]);
  }

  ints(values: readonly number[]): string {
    const array = BigInt64Array.from(values, BigInt);
    return this.#constant(new Uint8Array(array.buffer), [values.length], ONNX_TYPES.int64);
  }

  scalar(value: number, dtype: DType = 'float32'): string {
    return this.constant(typedArray([value], dtype), [], dtype);
  }

  constant(values: TypedArray, shape: readonly number[], dtype: DType): string {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    return this.#constant(bytes, shape, ONNX_TYPES[dtype]);
  }

  /** What the given results need, with each result under the given name. */
  finish(results: ReadonlyMap<string, string>): { nodes: NodeProto[]; constants: TensorProto[] } {
    const produced = new Set(this.#nodes.flatMap(({ output }) => output));
    const renamed = new Map<string, string>();
    const copies: NodeProto[] = [];
    for (const [result, name] of results) {
      if (produced.has(name) && !renamed.has(name)) renamed.set(name, result);
      // An input, a constant or a result already named: the second name is a copy.
      else
        copies.push({
          name: `copy_${result}`,
          opType: 'Identity',
          domain: '',
          input: [name],
          output: [result],
          attribute: [],
        });
    }
    const final = (name: string) => renamed.get(name) ?? name;
    const needed = new Set([...results.keys(), ...copies.flatMap(({ input }) => input.map(final))]);
    const nodes: NodeProto[] = [];
    for (const node of [...this.#nodes].reverse()) {
      const output = node.output.map(final);
      if (!output.some((name) => needed.has(name))) continue;
      const input = node.input.map(final);
      for (const name of input) needed.add(name);
      // An absent name tells the runtime not to compute an optional output.
      nodes.push({ ...node, input, output: trimUnused(output, needed, node.opType) });
    }
    const finalCopies = copies.map((copy) => ({ ...copy, input: copy.input.map(final) }));
    return {
      nodes: inOrderOfExecution([...nodes.reverse(), ...finalCopies]),
      constants: this.#constants.filter(({ name }) => needed.has(name)),
    };
  }

  /**
   * Of what was reshaped already only the last: the runtime would join the two to a new node, and where that is the end of a graph, run
   * all that leads to it before the other ends (see `inOrderOfExecution`).
   */
  #reshape(x: string, shape: string, attributes: Readonly<Record<string, OnnxAttribute>>): string {
    const source = this.#reshaped.get(x) ?? x;
    const result = this.ops('Reshape', [source, shape], attributes, { outputs: 1 })[0]!;
    this.#reshaped.set(result, source);
    return result;
  }

  #shaped(name: string, shape: readonly number[]): string {
    this.shapes.set(name, shape);
    return name;
  }

  /** [1, count]; one constant for each count, however large. */
  #ones(count: number): string {
    const key = `ones ${count}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known[0]!;
    const name = this.constant(new Float32Array(count).fill(1), [1, count], 'float32');
    this.#known.set(key, [name]);
    return name;
  }

  #constant(rawData: Uint8Array, dims: readonly number[], dataType: number): string {
    const compared = rawData.length <= MAX_COMPARED_BYTES;
    const key = compared ? `constant ${dataType} [${dims}] ${Buffer.from(rawData).toString('base64')}` : '';
    const known = this.#known.get(key);
    if (compared && known !== undefined) return known[0]!;
    const name = this.#name();
    this.#constants.push({ name, dims, dataType, rawData });
    if (compared) this.#known.set(key, [name]);
    return name;
  }

  #attribute(name: string, value: OnnxAttribute): AttributeProto {
    if (typeof value === 'number') return { name, type: 2, i: value };
    if (Array.isArray(value)) return { name, type: 7, ints: value };
    if ('float' in value) return { name, type: 1, f: value.float };
    if ('string' in value) return { name, type: 3, s: this.#encoder.encode(value.string) };
    throw new Error(`attribute ${name} has no ONNX type`);
  }

  #name(): string {
    return `t${this.#numNames++}`;
  }
}

/**
 * ONNX Runtime walks the graph backwards from the nodes that nothing consumes, the last listed first, and runs a node when
 * all it needs has run. In the order of the trace it would reach the weight gradients of every layer only after the whole
 * backward pass, with all activations still in memory. Listing the ends in reverse makes it run them as traced.
 */
function inOrderOfExecution(nodes: readonly NodeProto[]): NodeProto[] {
  const consumed = new Set(nodes.flatMap(({ input }) => input));
  const isEnd = ({ output }: NodeProto) => !output.some((name) => consumed.has(name));
  return [...nodes.filter((node) => !isEnd(node)), ...nodes.filter(isEnd).reverse()];
}

function trimUnused(output: string[], needed: ReadonlySet<string>, opType: string): string[] {
  if (opType !== 'LayerNormalization') return output;
  const trimmed = [...output];
  while (trimmed.length > 1 && !needed.has(trimmed[trimmed.length - 1]!)) trimmed.pop();
  return trimmed;
}

function typedArray(values: readonly number[], dtype: DType): TypedArray {
  if (dtype === 'float32') return Float32Array.from(values);
  return dtype === 'int32' ? Int32Array.from(values) : Uint8Array.from(values);
}
