// Outputs that are wanted early: the step is cut, each group is final when it is told, and the numbers stay the same.
import assert from 'node:assert/strict';
import test from 'node:test';
import { allReduceSum } from '../collectives.js';
import { gelu } from '../ops/gelu.js';
import { linear } from '../ops/linear.js';
import type { Completion, Milestones } from '../passes/milestones.js';
import { testStep, testValues } from '../testing/compare-backends.js';
import { tf } from '../tfjs.js';
import { createOnnxExecutor } from './onnx-executor.js';

const LAYERS = ['a', 'b', 'c', 'd'];
const INPUTS = Object.fromEntries(['x', ...LAYERS].map((name) => [name, { shape: [16, 16] }]));
const SINGLE_SUM = {
  allGather: () => Promise.reject(new Error('not used')),
  reduceScatter: () => Promise.reject(new Error('not used')),
  allReduce: async () => {},
};

/** Four layers; their gradients need a sum over ranks first, and are complete from the last layer to the first. */
const layers = testStep(INPUTS, (inputs) => {
  const weights = LAYERS.map((name) => inputs[name]!);
  const { value, grads } = tf.valueAndGrads((...tensors: tf.Tensor[]) => {
    const bias = tf.zeros([16]);
    const features = tensors.reduce((x, w) => gelu(linear(x, w, bias)), inputs.x!);
    return tf.mean(tf.square(allReduceSum(features)));
  })(weights);
  return { value, ...Object.fromEntries(LAYERS.map((name, i) => [`grad/${name}`, grads[i]!])) };
});

async function compile(milestones?: (completion: Completion) => Milestones) {
  const executor = await createOnnxExecutor(layers, {
    ...{ rank: 0, worldSize: 2, threads: 1, collectives: SINGLE_SUM },
    ...(milestones === undefined ? {} : { milestones }),
  });
  for (const [stream, name] of Object.keys(INPUTS).entries())
    executor.input(name).set(testValues(INPUTS[name]!, stream));
  return executor;
}

test('each group is final when it is told, and has the bits of the step without cuts', async () => {
  const whole = await compile();
  await whole.run();
  let completion: Completion = new Map();
  const cut = await compile((known) => {
    completion = known;
    return [['grad/d', 'value'], ['grad/c'], ['grad/b', 'grad/a']];
  });
  const places = ['d', 'c', 'b', 'a'].map((name) => completion.get(`grad/${name}`)!);
  assert.deepEqual(
    places,
    [...places].sort((a, b) => a - b),
    'the backward pass goes from the last layer to the first',
  );
  assert.equal(cut.stats.segments, whole.stats.segments + 2);
  for (let repeat = 0; repeat < 2; repeat++) {
    for (const name of LAYERS) cut.output(`grad/${name}`).fill(Number.NaN);
    const told: number[] = [];
    const early: Record<string, unknown> = {};
    await cut.run((group) => {
      told.push(group);
      for (const name of [['grad/d', 'value'], ['grad/c'], ['grad/b', 'grad/a']][group]!)
        early[name] = cut.output(name).slice();
      // What is not complete has not been written in this run.
      for (const name of [['grad/a', 'grad/c'], ['grad/a'], []][group]!)
        assert.ok(cut.output(name).every(Number.isNaN), `${name} is not yet written`);
    });
    assert.deepEqual(told, [0, 1, 2]);
    for (const name of ['value', ...LAYERS.map((layer) => `grad/${layer}`)])
      assert.deepEqual(early[name], whole.output(name), name);
  }
  await cut.close();
  await whole.close();
});

test('a group that is complete before the last level is told first; unknown names are refused', async () => {
  const executor = await createOnnxExecutor(
    testStep({ x: { shape: [4] } }, ({ x }) => ({ early: tf.neg(x!), late: tf.neg(allReduceSum(x!)) })),
    {
      ...{ rank: 0, worldSize: 2, threads: 1, collectives: SINGLE_SUM },
      milestones: () => [['late'], ['early']],
    },
  );
  executor.input('x').set([1, 2, 3, 4]);
  const told: number[] = [];
  await executor.run((group) => told.push(group));
  assert.deepEqual([told, executor.stats.segments], [[1, 0], 2]);
  await executor.close();
  await assert.rejects(
    compile(() => [['grad/z']]),
    /'grad\/z', which is no output/,
  );
});
