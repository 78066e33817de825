// Kernels that work element by element with numpy's broadcasting; not reductions or data movement.
import { broadcastShape, type DType, type TensorType } from '../tensor-type.js';
import { defineKernel, type Kernel, type LoweringCall, type OnnxEmitter, type OnnxOperand } from './kernel.js';

type Call = LoweringCall<object>;

export const ELEMENTWISE_KERNELS: readonly Kernel[] = [
  arithmetic('Add', 'Add'),
  arithmetic('Sub', 'Sub'),
  arithmetic('Multiply', 'Mul'),
  arithmetic('RealDiv', 'Div'),
  arithmetic('Maximum', 'Max'),
  arithmetic('Minimum', 'Min'),
  arithmetic('Pow', 'Pow'),
  binary('SquaredDifference', numeric, ({ emit }, a, b) => {
    const difference = emit.op('Sub', [a, b]);
    return emit.op('Mul', [difference, difference]);
  }),
  comparison('Equal', 'Equal'),
  binary('NotEqual', bool, ({ emit }, a, b) => emit.op('Not', [emit.op('Equal', [a, b])])),
  comparison('Greater', 'Greater'),
  comparison('GreaterEqual', 'GreaterOrEqual'),
  comparison('Less', 'Less'),
  comparison('LessEqual', 'LessOrEqual'),
  comparison('LogicalAnd', 'And'),
  comparison('LogicalOr', 'Or'),
  unary('LogicalNot', bool, ({ emit }, x) => emit.op('Not', [x])),
  unary('Neg', numeric, ({ emit }, x) => emit.op('Neg', [x])),
  unary('Abs', numeric, ({ emit }, x) => emit.op('Abs', [x])),
  unary('Sign', numeric, ({ emit }, x) => emit.op('Sign', [x])),
  unary('Square', numeric, ({ emit }, x) => emit.op('Mul', [x, x])),
  unary('Relu', numeric, ({ emit }, x) => emit.op('Relu', [x])),
  transcendental('Exp'),
  transcendental('Log'),
  transcendental('Sqrt'),
  transcendental('Reciprocal'),
  transcendental('Sigmoid'),
  transcendental('Tanh'),
  transcendental('Erf'),
  unary('Rsqrt', float, ({ emit, inputs }) => emit.op('Reciprocal', [emit.op('Sqrt', [asFloat(emit, inputs[0]!)])])),
  defineKernel<{ alpha?: number }>({
    name: 'Step',
    place: 'graph',
    inputs: ['x'],
    infer: ([x]) => [{ shape: x!.shape, dtype: 'float32' }],
    lower: ({ inputs, attrs, emit }) => {
      const positive = emit.op('Greater', [asFloat(emit, inputs[0]!), emit.scalar(0)]);
      return [emit.op('Where', [positive, emit.scalar(1), emit.scalar(attrs.alpha ?? 0)])];
    },
  }),
  defineKernel<{ clipValueMin: number; clipValueMax: number }>({
    name: 'ClipByValue',
    place: 'graph',
    inputs: ['x'],
    infer: ([x]) => [x!],
    lower: ({ inputs, attrs, emit }) => [
      emit.op('Clip', [
        inputs[0]!.name,
        emit.scalar(attrs.clipValueMin, inputs[0]!.dtype),
        emit.scalar(attrs.clipValueMax, inputs[0]!.dtype),
      ]),
    ],
  }),
  defineKernel<{ dtype: DType }>({
    name: 'Cast',
    place: 'graph',
    inputs: ['x'],
    infer: ([x], { dtype }) => [{ shape: x!.shape, dtype }],
    lower: ({ inputs, attrs, emit }) => [castTo(emit, inputs[0]!, attrs.dtype)],
  }),
  defineKernel<object>({
    name: 'Select',
    place: 'graph',
    inputs: ['condition', 't', 'e'],
    infer: ([condition, t, e]) => [
      { shape: broadcastShape(broadcastShape(condition!.shape, t!.shape), e!.shape), dtype: t!.dtype },
    ],
    lower: ({ inputs, emit }) => [
      emit.op(
        'Where',
        inputs.map(({ name }) => name),
      ),
    ],
  }),
  defineKernel<object>({
    name: 'AddN',
    place: 'graph',
    inputs: 'list',
    infer: ([first]) => [first!],
    lower: ({ inputs, emit }) => {
      const names = inputs.map(({ name }) => name);
      return [inputs[0]!.dtype === 'float32' ? emit.op('Sum', names) : names.reduce((a, b) => emit.op('Add', [a, b]))];
    },
  }),
];

/** The ONNX name of a value converted to `dtype`; the value itself where it has that type. */
export function castTo(emit: OnnxEmitter, operand: OnnxOperand, dtype: DType): string {
  return operand.dtype === dtype ? operand.name : emit.op('Cast', [operand.name], { to: ONNX_TYPES[dtype] });
}

/** ONNX's TensorProto.DataType numbers. */
export const ONNX_TYPES = { float32: 1, int32: 6, bool: 9, int64: 7 } as const;

function asFloat(emit: OnnxEmitter, operand: OnnxOperand): string {
  return castTo(emit, operand, 'float32');
}

function arithmetic(name: string, operator: string): Kernel {
  return binary(name, numeric, ({ emit }, a, b) => emit.op(operator, [a, b]));
}

function comparison(name: string, operator: string): Kernel {
  return binary(name, bool, ({ emit }, a, b) => emit.op(operator, [a, b]));
}

function transcendental(name: string): Kernel {
  return unary(name, float, ({ emit, inputs }) => emit.op(name, [asFloat(emit, inputs[0]!)]));
}

function binary(
  name: string,
  resultType: (operand: DType) => DType,
  lower: (call: Call, a: string, b: string) => string,
): Kernel {
  return defineKernel<object>({
    name,
    place: 'graph',
    inputs: ['a', 'b'],
    infer: ([a, b]) => [{ shape: broadcastShape(a!.shape, b!.shape), dtype: resultType(a!.dtype) }],
    lower: (call) => {
      const [a, b] = numericOperands(call, resultType);
      return [lower(call, a!, b!)];
    },
  });
}

function unary(name: string, resultType: (operand: DType) => DType, lower: (call: Call, x: string) => string): Kernel {
  return defineKernel<object>({
    name,
    place: 'graph',
    inputs: ['x'],
    infer: ([x]): TensorType[] => [{ shape: x!.shape, dtype: resultType(x!.dtype) }],
    lower: (call) => [lower(call, numericOperands(call, resultType)[0]!)],
  });
}

/** ONNX has no arithmetic on bool: those operands count as int32, as in tfjs. Comparisons take them as they are. */
function numericOperands({ inputs, emit }: Call, resultType: (operand: DType) => DType): string[] {
  return inputs.map((operand) =>
    operand.dtype === 'bool' && resultType === numeric ? castTo(emit, operand, 'int32') : operand.name,
  );
}

function numeric(operand: DType): DType {
  return operand === 'bool' ? 'int32' : operand;
}

function float(): DType {
  return 'float32';
}

function bool(): DType {
  return 'bool';
}
