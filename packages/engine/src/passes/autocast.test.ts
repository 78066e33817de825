// The rules of mixed precision on small graphs: which kernels compute in halves, and how a number is rounded.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createOnnxExecutor } from '../execute/onnx-executor.js';
import { layerNorm } from '../ops/layer-norm.js';
import { linear } from '../ops/linear.js';
import { testStep } from '../testing/compare-backends.js';
import { tf } from '../tfjs.js';
import { halfOf } from '../trace/graph.js';
import { traceStep } from '../trace/trace-step.js';

/** A product with the identity returns its operand, rounded. */
async function roundedBy(half: 'float16' | 'bfloat16', values: readonly number[]): Promise<Float32Array> {
  const inputs = { x: { shape: [values.length, 1], values }, one: { shape: [1, 1], values: [1] } };
  const step = testStep(inputs, ({ x, one }) => ({ y: tf.matMul(x!, one!) }));
  const executor = await createOnnxExecutor(step, { rank: 0, worldSize: 1, threads: 1, half });
  executor.input('x').set(values);
  executor.input('one').set([1]);
  await executor.run();
  const found = executor.output('y').slice() as Float32Array;
  await executor.close();
  return found;
}

/** Round to nearest, ties to even, with `digits` bits after the first; the exponents of a half. */
function nearest(value: number, digits: number, lowest: number, highest: number): number {
  if (value === 0) return value;
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(value))), lowest);
  const unit = 2 ** (exponent - digits);
  const scaled = value / unit;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const even = floor % 2 === 0 ? floor : floor + 1;
  const rounded = (rest === 0.5 ? even : Math.round(scaled)) * unit;
  return Math.abs(rounded) >= 2 ** (highest + 1) ? Math.sign(value) * Number.POSITIVE_INFINITY : rounded;
}

const values = [1, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -0.1, 1 / 3, 65504, 65519, 65520, 1e5]
  .concat([2 ** -24, 2 ** -25, 3 * 2 ** -26, 6.1e-5, -3e-7, 1e-30, 3.3333333, -2.6666667, 12345.678, 0])
  .map(Math.fround);

test('float16 rounds to nearest even, keeps small numbers and overflows to infinity', async () => {
  const expected = values.map((value) => nearest(value, 10, -14, 15));
  assert.deepEqual(Array.from(await roundedBy('float16', values)), expected);
});

test('bfloat16 rounds to nearest even', async () => {
  const expected = values.map((value) => nearest(value, 7, -126, 127));
  assert.deepEqual(Array.from(await roundedBy('bfloat16', values)), expected);
});

test("kernels compute in the types of PyTorch's autocast", () => {
  const inputs = { x: { shape: [4, 8] }, w: { shape: [8, 8] }, g: { shape: [8] } };
  const step = testStep(inputs, ({ x, w, g }) => {
    const product = linear(x!, w!);
    const both = tf.add(product, linear(product, w!));
    return {
      // Halves alone stay halves; with a float32 they are float32; norms, sums and exponentials always are.
      scaled: tf.mul(both, 3),
      residual: tf.add(x!, both),
      normed: layerNorm(both, g!, g!, 1e-5),
      sum: tf.sum(both),
      exponential: tf.exp(both),
    };
  });
  const { graph } = traceStep(step, undefined, { half: 'float16' });
  const half = Object.fromEntries(
    graph.nodes
      .filter(({ kernel }) => kernel.name !== 'SlipNarrow' && kernel.name !== 'SlipWiden')
      .map(({ kernel, inputs: operands, outputs }) => [
        kernel.name === 'Add'
          ? `Add of ${operands.some((value) => value.source.kind === 'input') ? 'both' : 'halves'}`
          : kernel.name,
        halfOf(outputs[0]!),
      ]),
  );
  assert.deepEqual(half, {
    SlipLinear: 'float16',
    'Add of halves': 'float16',
    Multiply: 'float16',
    'Add of both': undefined,
    SlipLayerNorm: undefined,
    Sum: undefined,
    Exp: undefined,
  });
  // The weight is converted once for both of its uses, and what leaves the step is float32.
  assert.equal(
    graph.nodes.filter(({ kernel, inputs: [value] }) => kernel.name === 'SlipNarrow' && value!.source.kind === 'input')
      .length,
    2,
  );
  assert.ok(graph.outputs.every(({ value }) => halfOf(value) === undefined));
});
