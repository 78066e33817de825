// What the tensorflow device composes our kernels of, without its addon: on a copy of TensorFlow.js' CPU backend, every kernel of ours
// that a single rank needs is there, and computes what the plain loops do.
import assert from 'node:assert/strict';
import test from 'node:test';
import '../index.js';
import { attention } from '../ops/attention.js';
import { blockBoundary } from '../ops/boundary.js';
import { conv2d } from '../ops/convolution.js';
import { embedding } from '../ops/embedding.js';
import { firstRows } from '../ops/first-rows.js';
import { gelu, quickGelu } from '../ops/gelu.js';
import { layerNorm } from '../ops/layer-norm.js';
import { linear } from '../ops/linear.js';
import { assertClose, type TestInputs, testValues, withGradients } from '../testing/compare-backends.js';
import { tf } from '../tfjs.js';
import { registerTensorFlowKernels } from './tensorflow-kernels.js';

const COPY = 'composed';
const CONVOLUTIONS = [
  [1, 0, 1],
  [3, 1, 1],
  [3, 1, 2],
  [3, 2, 3],
] as const;

test('every kernel has a composition with the results and gradients of its plain loops', async () => {
  await tf.setBackend('cpu');
  // With a backend of their own before the copies come: those that are not registered anew are missing.
  tf.registerBackend(COPY, () => tf.engine().findBackendFactory('cpu')() as tf.KernelBackend);
  const ours = tf.getKernelsForBackend('cpu').filter(({ kernelName }) => kernelName.startsWith('Slip'));
  for (const kernel of tf.getKernelsForBackend('cpu')) {
    if (!kernel.kernelName.startsWith('Slip')) tf.registerKernel({ ...kernel, backendName: COPY });
  }
  registerTensorFlowKernels(COPY);
  const composed = new Set(tf.getKernelsForBackend(COPY).map(({ kernelName }) => kernelName));
  const collectives = /^Slip(AllGather|AllReduce|ReduceScatter)$/;
  const missing = ours.map(({ kernelName }) => kernelName).filter((name) => !composed.has(name));
  assert.deepEqual(
    missing.filter((name) => !collectives.test(name)),
    [],
  );

  const heads = { shape: [2, 2, 4, 3] };
  const cases: [string, TestInputs, (...tensors: tf.Tensor[]) => tf.Tensor][] = [
    ['boundary', { x: { shape: [2, 3] } }, (x) => blockBoundary(x!)],
    ['linear', { x: { shape: [3, 4] }, w: { shape: [5, 4] }, b: { shape: [5] } }, (x, w, b) => linear(x!, w!, b)],
    ['gelu', { x: { shape: [3, 4] } }, (x) => gelu(x!)],
    ['quick gelu', { x: { shape: [3, 4] } }, (x) => quickGelu(x!)],
    ['norm', { x: { shape: [3, 4] }, g: { shape: [4] }, b: { shape: [4] } }, (x, g, b) => layerNorm(x!, g!, b!, 1e-5)],
    ['attention', { q: heads, k: heads, v: heads }, (q, k, v) => attention(q!, k!, v!, { causal: true })],
    ['first rows', { x: { shape: [4, 3] } }, (x) => firstRows(x!, 2)],
    ['embedding', { table: { shape: [6, 3] } }, (table) => embedding(table!, tf.tensor1d([4, 1, 4], 'int32'))],
    ...CONVOLUTIONS.map(([k, padding, stride]): (typeof cases)[number] => [
      `convolution of ${k}, padding ${padding}, stride ${stride}`,
      { x: { shape: [2, 3, 8, 8] }, weight: { shape: [4, 3, k, k] } },
      (x, weight) => conv2d(x!, weight!, { stride, padding }),
    ]),
  ];
  for (const [title, inputs, fn] of cases) {
    const found: Record<string, Float32Array>[] = [];
    for (const backend of ['cpu', COPY]) {
      await tf.setBackend(backend);
      const tensors = Object.entries(inputs).map(([name, input], stream) => [
        name,
        tf.tensor(testValues(input, stream), [...input.shape]),
      ]);
      const results = Object.entries(withGradients(fn)(Object.fromEntries(tensors)));
      found.push(Object.fromEntries(results.map(([name, tensor]) => [name, tensor.dataSync() as Float32Array])));
    }
    const [expected, actual] = found;
    for (const [name, values] of Object.entries(expected!))
      assertClose(actual![name]!, values, 2e-6, `${title}, ${name}`);
  }
  await tf.setBackend('cpu');
});
