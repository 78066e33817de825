// How nodes in mixed precision are written: in the device's own halves, or emulated by rounding float32. Which nodes they are is
// decided in passes/autocast.ts.
import type { HalfLowering, Kernel, LoweringCall, OnnxEmitter, OnnxOperand } from '../kernels/kernel.js';
import { type GraphNode, type HalfType, halfOf } from '../trace/graph.js';

/** `emulated`: halves are float32 numbers that a half can hold, for devices whose kernels have only float32. */
export type Halves = 'emulated' | 'native';

/** ONNX's TensorProto.DataType numbers. */
const HALF_TYPES: Readonly<Record<HalfType, number>> = { float16: 10, bfloat16: 16 };
const FLOAT32 = 1;

/** Their results hold no number that their operands do not hold. */
const MOVES_ONLY = new Set([
  ...['Reshape', 'ExpandDims', 'Transpose', 'Slice', 'StridedSlice', 'Concat', 'SplitV', 'Pack', 'Unpack', 'Tile'],
  ...[
    'BroadcastTo',
    'PadV2',
    'SlipCopy',
    'SlipBoundary',
    'GatherV2',
    'Relu',
    'Neg',
    'Maximum',
    'Minimum',
    'Max',
    'Min',
  ],
]);

/** They round inside, where PyTorch's separate operators do. */
const ROUND_INSIDE = new Set(['SlipNarrow', 'SlipAttention', 'SlipAttentionGrad']);

/** Written without constants or casts, so that they take halves as they are. */
const TAKE_HALVES = new Set([
  ...[...MOVES_ONLY].filter((name) => name !== 'PadV2'),
  ...[
    'SlipLinear',
    'SlipLinearWeightGrad',
    'BatchMatMul',
    '_FusedMatMul',
    'SlipConv',
    'SlipConvInputGrad',
    'SlipConvFilterGrad',
  ],
  ...['Add', 'Sub', 'Multiply', 'AddN', 'SlipGelu', 'SlipQuickGelu', ...ROUND_INSIDE],
]);

export function lowerNode(
  node: GraphNode,
  operands: readonly OnnxOperand[],
  emit: OnnxEmitter,
  halves: Halves,
): readonly string[] {
  const { kernel, attrs, outputs, half } = node;
  if (kernel.place !== 'graph') throw new Error(`${kernel.name} is not part of a segment`);
  const call = { inputs: operands, outputs, attrs, emit };
  if (half === undefined) return lowerFull(node, call, halves);
  return halves === 'emulated' ? emulate(kernel, call, half) : lowerNative(node, call, half);
}

type GraphKernel = Extract<Kernel, { place: 'graph' }>;

/** In float32; a conversion from halves is one where they are not float32 already. */
function lowerFull({ kernel, inputs }: GraphNode, call: LoweringCall<GraphNode['attrs']>, halves: Halves) {
  const isWidening = halves === 'native' && kernel.name === 'SlipWiden' && halfOf(inputs[0]!) !== undefined;
  if (isWidening) return [cast(call.emit, call.inputs[0]!.name, FLOAT32)];
  return (kernel as GraphKernel).lower(call);
}

function emulate(kernel: GraphKernel, call: LoweringCall<GraphNode['attrs']>, type: HalfType): readonly string[] {
  const { emit, outputs } = call;
  const round = (name: string) => cast(emit, cast(emit, name, HALF_TYPES[type]), FLOAT32);
  const half: HalfLowering = { narrow: round, widen: (name) => name, settle: round };
  const results = kernel.lower({ ...call, half });
  if (MOVES_ONLY.has(kernel.name) || ROUND_INSIDE.has(kernel.name)) return results;
  return results.map((name, index) => (outputs[index]!.dtype === 'float32' ? round(name) : name));
}

function lowerNative(node: GraphNode, call: LoweringCall<GraphNode['attrs']>, type: HalfType): readonly string[] {
  const { emit, inputs, outputs } = call;
  const kernel = node.kernel as GraphKernel;
  const narrow = (name: string) => cast(emit, name, HALF_TYPES[type]);
  const widen = (name: string) => cast(emit, name, FLOAT32);
  const isHalf = (index: number) => halfOf(node.inputs[index]!) !== undefined;
  const isFloat = (index: number) => inputs[index]!.dtype === 'float32';
  const converted = (convert: (name: string, index: number) => string) =>
    inputs.map((operand, index) => ({ ...operand, name: convert(operand.name, index) }));
  const half: HalfLowering = { narrow, widen, settle: (name) => name };
  if (kernel.name === 'SlipNarrow') return kernel.lower({ ...call, half });
  if (TAKE_HALVES.has(kernel.name)) {
    const operands = converted((name, index) => (isFloat(index) && !isHalf(index) ? narrow(name) : name));
    return kernel.lower({ ...call, inputs: operands, half });
  }
  const operands = converted((name, index) => (isHalf(index) ? widen(name) : name));
  return kernel
    .lower({ ...call, inputs: operands })
    .map((name, index) => (outputs[index]!.dtype === 'float32' ? narrow(name) : name));
}

/** A value at the border of a segment is float32; inside it is a half again. */
export function enterSegment(emit: OnnxEmitter, name: string, half: HalfType | undefined, halves: Halves): string {
  return half === undefined || halves === 'emulated' ? name : cast(emit, name, HALF_TYPES[half]);
}

export function leaveSegment(emit: OnnxEmitter, name: string, half: HalfType | undefined, halves: Halves): string {
  return half === undefined || halves === 'emulated' ? name : cast(emit, name, FLOAT32);
}

function cast(emit: OnnxEmitter, name: string, to: number): string {
  return emit.op('Cast', [name], { to });
}
