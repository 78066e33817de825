// What is written for other execution providers than the CPU computes the same: their graphs, run on the CPU, against the eager reference.
import assert from 'node:assert/strict';
import test from 'node:test';
import * as ort from '../execute/onnx-runtime.js';
import { DEVICE_KERNELS } from '../kernels/table.js';
import { attention } from '../ops/attention.js';
import { softmaxCrossEntropy } from '../ops/cross-entropy.js';
import { embedding } from '../ops/embedding.js';
import type { StepDefinition } from '../step.js';
import {
  assertClose,
  runEagerly,
  type TestInputs,
  testStep,
  testValues,
  withGradients,
} from '../testing/compare-backends.js';
import { tf } from '../tfjs.js';
import { traceStep } from '../trace/trace-step.js';
import { borderName, lowerSegment } from './lower.js';

async function runAsForWebGpu(inputs: TestInputs, fn: StepDefinition['fn']): Promise<Record<string, Float32Array>> {
  const traced = traceStep(testStep(inputs, fn), { rank: 0, worldSize: 1 }, { kernels: DEVICE_KERNELS });
  assert.equal(traced.segments.length, 1);
  const [segment] = traced.segments;
  assert.deepEqual(segment!.after, [], 'nothing is left to the host');
  const session = await ort.InferenceSession.create(lowerSegment(segment!, 'webgpu').model);
  const feeds = Object.entries(inputs).flatMap(([name, input], stream) => {
    const { value } = traced.graph.inputs.find((candidate) => candidate.name === name)!;
    if (!segment!.inputs.includes(value)) return [];
    const values = testValues(input, stream);
    const dims = [...input.shape];
    const tensor =
      input.dtype === 'int32'
        ? new ort.Tensor('int32', Int32Array.from(values), dims)
        : new ort.Tensor('float32', Float32Array.from(values), dims);
    return [[borderName(value), tensor] as const];
  });
  const results = await session.run(Object.fromEntries(feeds));
  const found = traced.graph.outputs.map(({ name, value }) => [name, results[borderName(value)]!.data] as const);
  await session.release();
  return Object.fromEntries(found) as Record<string, Float32Array>;
}

async function assertSame(inputs: TestInputs, fn: StepDefinition['fn'], tolerance = 2e-6): Promise<void> {
  const expected = await runEagerly(inputs, fn);
  const found = await runAsForWebGpu(inputs, fn);
  for (const [name, values] of Object.entries(expected)) assertClose(found[name]!, values, tolerance, name);
}

test('transposed products: attention and batched matrices', async () => {
  const heads = { shape: [2, 3, 5, 4] };
  await assertSame(
    { q: heads, k: heads, v: heads },
    withGradients((q, k, v) => attention(q!, k!, v!, { causal: true })),
  );
  await assertSame(
    { a: { shape: [2, 4, 3] }, b: { shape: [2, 5, 4] } },
    withGradients((a, b) => tf.matMul(a!, b!, true, true)),
  );
});

test('log-softmax', async () => {
  await assertSame(
    { logits: { shape: [4, 6] } },
    withGradients((logits) => softmaxCrossEntropy(logits!, [0, 5, 2, 2])),
  );
  await assertSame(
    { x: { shape: [2, 3, 4] } },
    withGradients((x) => tf.logSoftmax(tf.mul(x!, 50))),
  );
});

test('rows of the embedding are summed by id, also where ids are compared in several parts', async () => {
  for (const numIds of [7, 4500]) {
    await assertSame(
      {
        table: { shape: [11, 2] },
        ids: { shape: [1, numIds], dtype: 'int32', values: (i) => (i * i + 3) % 9 },
      },
      ({ table, ids }) => {
        const { value, grads } = tf.valueAndGrads((t: tf.Tensor) => tf.sum(tf.square(embedding(t, ids!))))([table!]);
        return { value, gradient: grads[0]! };
      },
      // Thousands of rows are added in another order.
      2e-5,
    );
  }
});
