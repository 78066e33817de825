// The one table of kernels that a traced step may use; each entry lives with its theme or its op.
import { COLLECTIVE_KERNELS } from '../collectives.js';
import { ATTENTION_KERNELS } from '../ops/attention.js';
import { BOUNDARY_KERNELS } from '../ops/boundary.js';
import { CONVOLUTION_KERNELS } from '../ops/convolution.js';
import { CROSS_ENTROPY_KERNELS } from '../ops/cross-entropy.js';
import { DEVICE_EMBEDDING_KERNELS, EMBEDDING_KERNELS } from '../ops/embedding.js';
import { ROW_KERNELS } from '../ops/first-rows.js';
import { GELU_KERNELS } from '../ops/gelu.js';
import { LAYER_NORM_KERNELS } from '../ops/layer-norm.js';
import { LINEAR_KERNELS } from '../ops/linear.js';
import { ELEMENTWISE_KERNELS } from './elementwise.js';
import type { Kernel } from './kernel.js';
import { LOOKUP_KERNELS } from './lookup.js';
import { MATMUL_KERNELS } from './matmul.js';
import { PRECISION_KERNELS } from './precision.js';
import { REDUCE_KERNELS } from './reduce.js';
import { SHAPE_KERNELS } from './shape.js';

export type KernelTable = ReadonlyMap<string, Kernel>;

export const KERNELS: KernelTable = new Map(
  [
    ...ELEMENTWISE_KERNELS,
    ...REDUCE_KERNELS,
    ...SHAPE_KERNELS,
    ...MATMUL_KERNELS,
    ...LOOKUP_KERNELS,
    ...LAYER_NORM_KERNELS,
    ...LINEAR_KERNELS,
    ...GELU_KERNELS,
    ...ATTENTION_KERNELS,
    ...EMBEDDING_KERNELS,
    ...ROW_KERNELS,
    ...CROSS_ENTROPY_KERNELS,
    ...BOUNDARY_KERNELS,
    ...CONVOLUTION_KERNELS,
    ...PRECISION_KERNELS,
    ...COLLECTIVE_KERNELS,
  ].map((kernel) => [kernel.name, kernel]),
);

/** For devices with memory of their own: what the host does elsewhere is part of the graph, so that nothing has to cross. */
export const DEVICE_KERNELS: KernelTable = new Map([
  ...KERNELS,
  ...DEVICE_EMBEDDING_KERNELS.map((kernel): [string, Kernel] => [kernel.name, kernel]),
]);
