// Tracing: what is refused and how it is said, what is left behind, and what cleaning removes.
import assert from 'node:assert/strict';
import test from 'node:test';
import { layerNorm } from '../ops/layer-norm.js';
import { linear } from '../ops/linear.js';
import type { StepDefinition } from '../step.js';
import { type TestInputs, testStep } from '../testing/compare-backends.js';
import { tf } from '../tfjs.js';
import { traceStep } from './trace-step.js';

const VECTOR = { x: { shape: [2, 3] } };
const kernels = (fn: StepDefinition['fn'], inputs: TestInputs = VECTOR) =>
  traceStep(testStep(inputs, fn)).graph.nodes.map(({ kernel }) => kernel.name);

test('an unsupported kernel is named', () => {
  const step = testStep(VECTOR, ({ x }) => ({ y: tf.cumsum(x!, 1) }));
  assert.throws(() => traceStep(step), { code: 'unsupported', message: /step 'test' uses the tfjs kernel 'Cumsum'/ });
});

test('the gradient of gather is refused with the op to use instead', () => {
  const step = testStep(VECTOR, ({ x }) => {
    const { grads } = tf.valueAndGrads((x: tf.Tensor) => tf.sum(tf.square(tf.gather(x, tf.tensor1d([1, 1], 'int32')))))(
      [x!],
    );
    return { gradient: grads[0]! };
  });
  assert.throws(() => traceStep(step), { code: 'unsupported', message: /'UnsortedSegmentSum'.*embedding\(\)/ });
});

test('reading a value is refused and the way of reading is named', () => {
  const reads: Array<[RegExp, (x: tf.Tensor) => unknown]> = [
    [/\[2,3\].*dataSync\(\) or arraySync\(\)/, (x) => x.dataSync()],
    [/dataSync\(\) or arraySync\(\)/, (x) => (tf.sum(x).arraySync() as number) > 0],
    [/data\(\) or array\(\)/, (x) => void x.data()],
    [/data\(\) or array\(\)/, (x) => void x.array()],
  ];
  for (const [message, read] of reads) {
    const step = testStep(VECTOR, ({ x }) => {
      read(x!);
      return { y: tf.neg(x!) };
    });
    assert.throws(() => traceStep(step), { code: 'unsupported', message });
  }
});

test('constants may be read while tracing', () => {
  assert.deepEqual(
    kernels(({ x }) => ({ y: tf.mul(x!, tf.tensor1d([2, 3]).arraySync()[1]!) })),
    ['Multiply'],
  );
});

test('random numbers inside a step are refused', () => {
  const draws: Array<[string, (x: tf.Tensor) => tf.Tensor]> = [
    ['randomNormal', (x) => tf.add(x, tf.randomNormal([2, 3]))],
    ['randomUniform', (x) => tf.add(x, tf.randomUniform([2, 3]))],
    ['truncatedNormal', (x) => tf.add(x, tf.truncatedNormal([2, 3]))],
    ['dropout', (x) => tf.dropout(x, 0.5)],
    ['Multinomial', (x) => tf.add(x, tf.multinomial(tf.tensor1d([0.5, 0.5]), 3))],
  ];
  for (const [name, draw] of draws) {
    const step = testStep(VECTOR, ({ x }) => ({ y: draw(x!) }));
    assert.throws(() => traceStep(step), { code: 'unsupported', message: new RegExp(`random numbers.*${name}`, 'i') });
  }
});

test('an asynchronous step and an output that is no tensor are refused', () => {
  // @ts-expect-error: the types forbid it too.
  const asynchronous: StepDefinition['fn'] = async ({ x }) => ({ y: x });
  assert.throws(() => traceStep(testStep(VECTOR, asynchronous)), { code: 'unsupported', message: /asynchronous/ });
  // @ts-expect-error: the types forbid it too.
  const number: StepDefinition['fn'] = () => ({ y: 3 });
  assert.throws(() => traceStep(testStep(VECTOR, number)), {
    code: 'unsupported',
    message: /output 'y'.*not a tensor/,
  });
});

test('tracing restores the backend and leaves no tensors, after a failure too', () => {
  const outside = tf.tensor1d([1, 2, 3]);
  const before = { backend: tf.getBackend(), numTensors: tf.memory().numTensors };
  const good = testStep(VECTOR, ({ x }) => {
    const { value, grads } = tf.valueAndGrads((x: tf.Tensor) => tf.sum(tf.mul(tf.exp(x), outside)))([x!]);
    return { value, gradient: grads[0]! };
  });
  traceStep(good);
  const bad = testStep(VECTOR, ({ x }) => ({ y: tf.cumsum(tf.exp(x!)) }));
  assert.throws(() => traceStep(bad));
  assert.deepEqual({ backend: tf.getBackend(), numTensors: tf.memory().numTensors }, before);
  // A tensor of the outside that a step used is still there.
  assert.deepEqual(outside.arraySync(), [1, 2, 3]);
  outside.dispose();
});

test('movement that moves nothing and neutral arithmetic disappear', () => {
  assert.deepEqual(
    kernels(({ x }) => {
      const shaped = tf.reshape(tf.reshape(tf.transpose(tf.transpose(x!)), [3, 2]), [2, 3]);
      const same = tf.add(tf.mul(shaped, 1), tf.zeros([2, 3]));
      const tiled = tf.tile(tf.concat([same], 0), [1, 1]);
      return { y: tf.neg(tf.slice(tiled, [0, 0], [2, 3])) };
    }),
    ['Neg'],
  );
});

test('equal computations are recorded once and unused ones not at all', () => {
  assert.deepEqual(
    kernels(({ x }) => {
      tf.exp(x!);
      return { y: tf.mul(tf.exp(tf.neg(x!)), tf.exp(tf.neg(x!))) };
    }),
    ['Neg', 'Exp', 'Multiply'],
  );
});

test('gradients of sums and means expand nothing', () => {
  const names = kernels(({ x }) => {
    const { grads } = tf.valueAndGrads((x: tf.Tensor) => tf.sum(tf.mean(tf.square(x), 1)))([x!]);
    return { gradient: grads[0]! };
  });
  assert.ok(!names.includes('BroadcastTo') && !names.includes('Tile'), `${names}`);
});

test('biases and leading axes of linear layers cost no extra nodes', () => {
  const inputs = { x: { shape: [2, 5, 3] }, weight: { shape: [4, 3] }, bias: { shape: [4] }, other: { shape: [3, 4] } };
  const names = kernels(({ x, weight, bias, other }) => ({ y: linear(linear(x!, weight!, bias!), other!) }), inputs);
  assert.deepEqual(names, ['Reshape', 'SlipLinear', 'SlipLinear', 'Reshape']);
});

test('outputs that are inputs, constants or other outputs get memory of their own', () => {
  const { graph } = traceStep(
    testStep(VECTOR, ({ x }) => {
      const y = tf.neg(x!);
      return { y, again: y, input: x!, constant: tf.ones([2]) };
    }),
  );
  assert.equal(new Set(graph.outputs.map(({ value }) => value)).size, 4);
  assert.deepEqual(
    graph.nodes.map(({ kernel }) => kernel.name),
    ['Neg', 'SlipCopy', 'SlipCopy', 'SlipCopy'],
  );
});

test('the gradient of layer norm is one kernel a call', () => {
  const inputs = { x: { shape: [2, 3] }, gamma: { shape: [3] } };
  const names = kernels(({ x, gamma }) => {
    const { grads } = tf.valueAndGrads((x: tf.Tensor, gamma: tf.Tensor) => tf.sum(layerNorm(x, gamma, gamma, 1e-5)))([
      x!,
      gamma!,
    ]);
    return { dx: grads[0]!, dGamma: grads[1]! };
  }, inputs);
  assert.deepEqual(names, ['SlipLayerNorm', 'SlipLayerNormGrad', 'Add']);
});
