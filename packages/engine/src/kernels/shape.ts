// Kernels that move or repeat elements without changing them; not lookups by a tensor of indices.
import { sizeOf, type TensorType } from '../tensor-type.js';
import { tf } from '../tfjs.js';
import { defineKernel, type Kernel, type OnnxEmitter } from './kernel.js';

interface StridedSliceAttributes {
  begin: number[];
  end: number[];
  strides: number[];
  beginMask: number;
  endMask: number;
  ellipsisMask: number;
  newAxisMask: number;
  shrinkAxisMask: number;
}

export const SHAPE_KERNELS: readonly Kernel[] = [
  defineKernel<{ shape: number[] }>({
    name: 'Reshape',
    place: 'graph',
    inputs: ['x'],
    infer: ([x], { shape }) => [{ shape: resolveShape(shape, sizeOf(x!.shape)), dtype: x!.dtype }],
    lower: ({ inputs, outputs, emit }) => [reshape(emit, inputs[0]!.name, outputs[0]!.shape)],
  }),
  defineKernel<{ dim: number }>({
    name: 'ExpandDims',
    place: 'graph',
    inputs: ['input'],
    infer: ([input], { dim }) => {
      const shape = [...input!.shape];
      shape.splice(dim < 0 ? dim + shape.length + 1 : dim, 0, 1);
      return [{ shape, dtype: input!.dtype }];
    },
    lower: ({ inputs, outputs, emit }) => [reshape(emit, inputs[0]!.name, outputs[0]!.shape)],
  }),
  defineKernel<{ perm: number[] }>({
    name: 'Transpose',
    place: 'graph',
    inputs: ['x'],
    infer: ([x], { perm }) => [{ shape: perm.map((axis) => x!.shape[axis]!), dtype: x!.dtype }],
    lower: ({ inputs, attrs, emit }) => [emit.op('Transpose', [inputs[0]!.name], { perm: attrs.perm })],
  }),
  defineKernel<{ begin: number | number[]; size: number | number[] }>({
    name: 'Slice',
    place: 'graph',
    inputs: ['x'],
    infer: ([x], attrs) => [{ shape: sliceBounds(x!, attrs).size, dtype: x!.dtype }],
    lower: ({ inputs, attrs, emit }) => {
      const { begin, size } = sliceBounds(inputs[0]!, attrs);
      // A scalar is its own and only slice.
      if (begin.length === 0) return [inputs[0]!.name];
      const end = begin.map((start, axis) => start + size[axis]!);
      const axes = begin.map((_, axis) => axis);
      return [emit.op('Slice', [inputs[0]!.name, emit.ints(begin), emit.ints(end), emit.ints(axes)])];
    },
  }),
  defineKernel<StridedSliceAttributes>({
    name: 'StridedSlice',
    place: 'graph',
    inputs: ['x'],
    infer: ([x], attrs) => [{ shape: stridedSliceInfo(x!, attrs).finalShape, dtype: x!.dtype }],
    lower: ({ inputs, outputs, attrs, emit }) => {
      const { begin, end, strides } = stridedSliceInfo(inputs[0]!, attrs);
      // Walking backwards to the front ends before index 0, which ONNX would read as counted from the end.
      const ends = end.map((stop, axis) => (strides[axis]! < 0 && stop < 0 ? -(2 ** 31) : stop));
      const axes = begin.map((_, axis) => axis);
      const operands = [begin, ends, axes, strides].map((values) => emit.ints(values));
      return [reshape(emit, emit.op('Slice', [inputs[0]!.name, ...operands]), outputs[0]!.shape)];
    },
  }),
  defineKernel<{ axis: number }>({
    name: 'Concat',
    place: 'graph',
    inputs: 'list',
    infer: (inputs, attrs) => {
      const axis = positive(attrs.axis, inputs[0]!.shape.length);
      const shape = [...inputs[0]!.shape];
      shape[axis] = inputs.reduce((sum, input) => sum + input.shape[axis]!, 0);
      return [{ shape, dtype: inputs[0]!.dtype }];
    },
    lower: ({ inputs, outputs, attrs, emit }) => [
      emit.op(
        'Concat',
        inputs.map(({ name }) => name),
        { axis: positive(attrs.axis, outputs[0]!.shape.length) },
      ),
    ],
  }),
  defineKernel<{ axis: number; numOrSizeSplits: number | number[] }>({
    name: 'SplitV',
    place: 'graph',
    inputs: ['x'],
    infer: ([x], attrs) => {
      const axis = positive(attrs.axis, x!.shape.length);
      const sizes = tf.backend_util.prepareSplitSize(
        { shape: [...x!.shape] } as tf.Tensor,
        attrs.numOrSizeSplits,
        axis,
      );
      return sizes.map((size) => ({ shape: x!.shape.map((dim, i) => (i === axis ? size : dim)), dtype: x!.dtype }));
    },
    lower: ({ inputs, outputs, attrs, emit }) => {
      const axis = positive(attrs.axis, inputs[0]!.shape.length);
      const sizes = emit.ints(outputs.map(({ shape }) => shape[axis]!));
      return emit.ops('Split', [inputs[0]!.name, sizes], { axis }, { outputs: outputs.length });
    },
  }),
  defineKernel<{ axis: number }>({
    name: 'Pack',
    place: 'graph',
    inputs: 'list',
    infer: (inputs, attrs) => {
      const shape = [...inputs[0]!.shape];
      shape.splice(positive(attrs.axis, shape.length + 1), 0, inputs.length);
      return [{ shape, dtype: inputs[0]!.dtype }];
    },
    lower: ({ inputs, outputs, attrs, emit }) => {
      const axis = positive(attrs.axis, outputs[0]!.shape.length);
      const single = outputs[0]!.shape.map((dim, i) => (i === axis ? 1 : dim));
      const parts = inputs.map(({ name }) => reshape(emit, name, single));
      return [emit.op('Concat', parts, { axis })];
    },
  }),
  defineKernel<{ axis: number }>({
    name: 'Unpack',
    place: 'graph',
    inputs: ['value'],
    infer: ([value], attrs) => {
      const axis = positive(attrs.axis, value!.shape.length);
      const shape = value!.shape.filter((_, i) => i !== axis);
      return Array.from({ length: value!.shape[axis]! }, () => ({ shape, dtype: value!.dtype }));
    },
    lower: ({ inputs, outputs, attrs, emit }) => {
      const axis = positive(attrs.axis, inputs[0]!.shape.length);
      const sizes = emit.ints(outputs.map(() => 1));
      const parts = emit.ops('Split', [inputs[0]!.name, sizes], { axis }, { outputs: outputs.length });
      return parts.map((part) => reshape(emit, part, outputs[0]!.shape));
    },
  }),
  defineKernel<{ reps: number[] }>({
    name: 'Tile',
    place: 'graph',
    inputs: ['x'],
    infer: ([x], { reps }) => [{ shape: x!.shape.map((dim, axis) => dim * reps[axis]!), dtype: x!.dtype }],
    lower: ({ inputs, attrs, emit }) => [emit.op('Tile', [inputs[0]!.name, emit.ints(attrs.reps)])],
  }),
  defineKernel<{ shape: number[] }>({
    name: 'BroadcastTo',
    place: 'graph',
    inputs: ['x'],
    infer: ([x], { shape }) => [{ shape, dtype: x!.dtype }],
    lower: ({ inputs, attrs, emit }) => [emit.op('Expand', [inputs[0]!.name, emit.ints(attrs.shape)])],
  }),
  defineKernel<{ paddings: Array<[number, number]>; constantValue: number }>({
    name: 'PadV2',
    place: 'graph',
    inputs: ['x'],
    infer: ([x], { paddings }) => [
      {
        shape: x!.shape.map((dim, axis) => dim + paddings[axis]![0] + paddings[axis]![1]),
        dtype: x!.dtype,
      },
    ],
    lower: ({ inputs, attrs, emit }) => {
      const pads = [...attrs.paddings.map(([before]) => before), ...attrs.paddings.map(([, after]) => after)];
      const fill = emit.scalar(attrs.constantValue, inputs[0]!.dtype);
      return [emit.op('Pad', [inputs[0]!.name, emit.ints(pads), fill])];
    },
  }),
  // Gives a step's output memory of its own where it is an input, a constant or another output.
  defineKernel<object>({
    name: 'SlipCopy',
    place: 'graph',
    inputs: ['x'],
    infer: ([x]) => [x!],
    lower: ({ inputs, emit }) => [emit.op('Identity', [inputs[0]!.name])],
  }),
];

function reshape(emit: OnnxEmitter, name: string, shape: readonly number[]): string {
  return emit.op('Reshape', [name, emit.ints(shape)]);
}

function resolveShape(shape: readonly number[], size: number): number[] {
  const known = shape.reduce((product, dim) => (dim === -1 ? product : product * dim), 1);
  return shape.map((dim) => (dim === -1 ? size / known : dim));
}

function sliceBounds(x: TensorType, attrs: { begin: number | number[]; size: number | number[] }) {
  const [begin, size] = tf.slice_util.parseSliceParams(
    { shape: [...x.shape] } as tf.TensorInfo,
    attrs.begin,
    attrs.size,
  );
  return { begin: begin!, size: size! };
}

function stridedSliceInfo(x: TensorType, attrs: StridedSliceAttributes) {
  const { begin, end, strides, beginMask, endMask, ellipsisMask, newAxisMask, shrinkAxisMask } = attrs;
  const shape = [...x.shape];
  return tf.slice_util.sliceInfo(
    shape,
    begin,
    end,
    strides,
    beginMask,
    endMask,
    ellipsisMask,
    newAxisMask,
    shrinkAxisMask,
  );
}

function positive(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}
