// Matrix products, batched and fused; not attention (see `ops/attention.ts`) or linear layers.
import { SlipError } from '@slip/core';
import { broadcastShape, sizeOf, type TensorType } from '../tensor-type.js';
import { defineKernel, type Kernel, type OnnxEmitter, type OnnxOperand } from './kernel.js';

interface MatMulAttributes {
  transposeA: boolean;
  transposeB: boolean;
}

interface FusedAttributes extends MatMulAttributes {
  activation?: string;
}

const ACTIVATIONS: Readonly<Record<string, string>> = { relu: 'Relu', sigmoid: 'Sigmoid', elu: 'Elu' };

export const MATMUL_KERNELS: readonly Kernel[] = [
  defineKernel<MatMulAttributes>({
    name: 'BatchMatMul',
    place: 'graph',
    inputs: ['a', 'b'],
    infer: ([a, b], attrs) => [{ shape: productShape(a!, b!, attrs), dtype: 'float32' }],
    lower: ({ inputs, outputs, attrs, emit }) => [product(emit, inputs[0]!, inputs[1]!, outputs[0]!, attrs)],
  }),
  defineKernel<FusedAttributes>({
    name: '_FusedMatMul',
    place: 'graph',
    inputs: ['a', 'b', 'bias'],
    infer: ([a, b], attrs) => [{ shape: productShape(a!, b!, attrs), dtype: 'float32' }],
    lower: ({ inputs, outputs, attrs, emit }) => {
      const [a, b, bias] = inputs;
      const plain = product(emit, a!, b!, outputs[0]!, attrs);
      const biased = bias === undefined ? plain : emit.op('Add', [plain, bias.name]);
      const activation = attrs.activation ?? 'linear';
      if (activation === 'linear') return [biased];
      const operator = ACTIVATIONS[activation];
      if (operator === undefined) {
        throw new SlipError(
          'unsupported',
          `a fused matMul with activation '${activation}' cannot be traced; apply the activation as its own op`,
        );
      }
      return [emit.op(operator, [biased])];
    },
  }),
];

function product(
  emit: OnnxEmitter,
  a: OnnxOperand,
  b: OnnxOperand,
  result: TensorType,
  { transposeA, transposeB }: MatMulAttributes,
): string {
  if (b.shape.length === 2 && !transposeA) {
    // Batches of rows against one matrix are one large product.
    const depth = a.shape[a.shape.length - 1]!;
    const shape = [sizeOf(a.shape) / depth, depth];
    const rows = a.shape.length === 2 ? a : { ...a, name: emit.op('Reshape', [a.name, emit.ints(shape)]), shape };
    const product = emit.rowsProduct(rows, b, { transB: transposeB });
    return a.shape.length === 2 ? product : emit.op('Reshape', [product, emit.ints(result.shape)]);
  }
  if (a.shape.length === 2 && b.shape.length === 2) {
    return emit.op('Gemm', [a.name, b.name], { transA: 1, transB: transposeB ? 1 : 0 });
  }
  if (!transposeA && !transposeB) return emit.op('MatMul', [a.name, b.name]);
  return emit.product(a.name, b.name, { rank: a.shape.length, transA: transposeA, transB: transposeB });
}

function productShape(a: TensorType, b: TensorType, { transposeA, transposeB }: MatMulAttributes): number[] {
  const rows = a.shape[a.shape.length - (transposeA ? 1 : 2)]!;
  const columns = b.shape[b.shape.length - (transposeB ? 2 : 1)]!;
  return [...broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2)), rows, columns];
}
