// Lookups by tensors of indices; their gradients are ops of our own (see `ops/embedding.ts`).
import { SlipError } from '@slip/core';
import type { DType } from '../tensor-type.js';
import { castTo } from './elementwise.js';
import { defineKernel, type Kernel } from './kernel.js';

export const LOOKUP_KERNELS: readonly Kernel[] = [
  defineKernel<{ axis: number; batchDims?: number }>({
    name: 'GatherV2',
    place: 'graph',
    inputs: ['x', 'indices'],
    infer: ([x, indices], { axis: given, batchDims }) => {
      if (batchDims !== undefined && batchDims !== 0) {
        throw new SlipError(
          'unsupported',
          `gather with batchDims ${batchDims} cannot be traced; gather from a flattened tensor instead`,
        );
      }
      const axis = given < 0 ? given + x!.shape.length : given;
      return [{ shape: [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)], dtype: x!.dtype }];
    },
    lower: ({ inputs, attrs, emit }) => [emit.op('Gather', [inputs[0]!.name, inputs[1]!.name], { axis: attrs.axis })],
  }),
  defineKernel<{ depth: number; onValue: number; offValue: number; dtype: DType }>({
    name: 'OneHot',
    place: 'graph',
    inputs: ['indices'],
    infer: ([indices], { depth, dtype }) => [{ shape: [...indices!.shape, depth], dtype }],
    lower: ({ inputs, outputs, attrs, emit }) => {
      const { depth, onValue, offValue } = attrs;
      const { dtype } = outputs[0]!;
      const classes = emit.constant(
        Int32Array.from({ length: depth }, (_, i) => i),
        [depth],
        'int32',
      );
      // ONNX's OneHot counts negative indices from the end; tfjs gives them a row without a hit.
      const column = emit.op('Reshape', [castTo(emit, inputs[0]!, 'int32'), emit.ints([...inputs[0]!.shape, 1])]);
      const hit = emit.op('Equal', [column, classes]);
      const values = dtype === 'bool' ? 'int32' : dtype;
      const name = emit.op('Where', [hit, emit.scalar(onValue, values), emit.scalar(offValue, values)]);
      return [castTo(emit, { name, shape: outputs[0]!.shape, dtype: values }, dtype)];
    },
  }),
];
