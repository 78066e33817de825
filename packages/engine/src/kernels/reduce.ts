// Reductions along axes, softmax among them; not matrix products.
import { type DType, normalizeAxes, type TensorType } from '../tensor-type.js';
import { castTo } from './elementwise.js';
import { defineKernel, type Kernel, type OnnxOperand } from './kernel.js';

interface ReduceAttributes {
  axis?: number | number[];
  /** tfjs' name of `axis` in Max. */
  reductionIndices?: number | number[];
  keepDims?: boolean;
}

export const REDUCE_KERNELS: readonly Kernel[] = [
  reduction('Sum', 'ReduceSum', (dtype) => (dtype === 'bool' ? 'int32' : dtype)),
  reduction('Mean', 'ReduceMean', () => 'float32'),
  reduction('Max', 'ReduceMax', (dtype) => dtype),
  reduction('Min', 'ReduceMin', (dtype) => dtype),
  reduction('Prod', 'ReduceProd', (dtype) => (dtype === 'bool' ? 'int32' : dtype)),
  argReduction('ArgMax'),
  argReduction('ArgMin'),
  lastAxis('Softmax'),
  lastAxis('LogSoftmax'),
];

function reduction(name: string, operator: string, resultType: (operand: DType) => DType): Kernel {
  return defineKernel<ReduceAttributes>({
    name,
    place: 'graph',
    inputs: ['x'],
    infer: ([x], attrs) => [
      { shape: reducedShape(x!, axesOf(x!, attrs), attrs.keepDims ?? false), dtype: resultType(x!.dtype) },
    ],
    lower: ({ inputs, outputs, attrs, emit }) => {
      const operand = inputs[0]!;
      const axes = axesOf(operand, attrs);
      const value = castTo(emit, operand, outputs[0]!.dtype);
      // ONNX reads an empty list of axes as all of them.
      if (axes.length === 0) return [value];
      const isRowSum = name === 'Sum' && operand.shape.length === 2 && axes.length === 1 && axes[0] === 0;
      if (isRowSum && outputs[0]!.dtype === 'float32' && attrs.keepDims !== true) {
        return [emit.sumRows(value, operand.shape as [number, number])];
      }
      return [emit.op(operator, [value, emit.ints(axes)], { keepdims: attrs.keepDims ? 1 : 0 })];
    },
  });
}

function argReduction(name: string): Kernel {
  return defineKernel<{ axis: number | number[] }>({
    name,
    place: 'graph',
    inputs: ['x'],
    infer: ([x], attrs) => [{ shape: reducedShape(x!, axesOf(x!, attrs), false), dtype: 'int32' }],
    lower: ({ inputs, attrs, emit }) => {
      const [axis] = axesOf(inputs[0]!, attrs);
      const index = emit.op(name, [inputs[0]!.name], { axis: axis!, keepdims: 0 });
      return [emit.op('Cast', [index], { to: 6 })];
    },
  });
}

/** tfjs allows these along the last axis only. */
function lastAxis(name: string): Kernel {
  return defineKernel<object>({
    name,
    place: 'graph',
    inputs: ['logits'],
    infer: ([logits]) => [logits!],
    lower: ({ inputs, emit }) => {
      const [{ name: logits }] = inputs as [OnnxOperand];
      return [name === 'LogSoftmax' ? emit.logSoftmax(logits) : emit.op(name, [logits], { axis: -1 })];
    },
  });
}

function axesOf(x: TensorType, attrs: ReduceAttributes): number[] {
  return normalizeAxes(attrs.axis ?? attrs.reductionIndices, x.shape.length);
}

function reducedShape(x: TensorType, axes: readonly number[], keepDims: boolean): number[] {
  if (keepDims) return x.shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  return x.shape.filter((_, axis) => !axes.includes(axis));
}
