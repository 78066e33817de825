// Collectives inside a step: several ranks in one process against one rank that has the whole batch.
import assert from 'node:assert/strict';
import test from 'node:test';
import { allGather, allReduceSum, topology, withTopology } from './collectives.js';
import { batchNormTrain } from './ops/batch-norm.js';
import { softmaxCrossEntropy } from './ops/cross-entropy.js';
import { l2Normalize } from './ops/l2-normalize.js';
import { valueAndGradients } from './ops/value-and-gradients.js';
import type { StepDefinition, TensorSpec } from './step.js';
import { assertClose, runCompiled, testValues } from './testing/compare-backends.js';
import { runOnRanks } from './testing/local-ranks.js';
import { tf } from './tfjs.js';
import { traceStep } from './trace/trace-step.js';

const WIDTH = 3;
const ROWS = 6;
const whole = { a: { shape: [ROWS, WIDTH] }, b: { shape: [ROWS, WIDTH] } };
const values = { a: testValues(whole.a, 0), b: testValues(whole.b, 1) };

/** A contrastive loss of the local rows against the gathered ones, with its gradients. */
function contrastive(gradient: 'full' | 'none') {
  return ({ a, b }: Record<string, tf.Tensor>) => {
    const numLocal = a!.shape[0]!;
    const labels = Array.from({ length: numLocal }, (_, i) => topology().rank * numLocal + i);
    const { value, grads } = tf.valueAndGrads((a: tf.Tensor, b: tf.Tensor) => {
      const [x, y] = [l2Normalize(a), l2Normalize(b)];
      const [allX, allY] = [allGather(x, { gradient }), allGather(y, { gradient })];
      const rows = softmaxCrossEntropy(tf.mul(tf.matMul(x, allY, false, true), 5), labels);
      const columns = softmaxCrossEntropy(tf.mul(tf.matMul(y, allX, false, true), 5), labels);
      return tf.mul(tf.add(rows, columns), 0.5);
    })([a!, b!]);
    return { loss: value, da: grads[0]!, db: grads[1]! };
  };
}

function shareOf(worldSize: number, fn: StepDefinition['fn']) {
  const shape = [ROWS / worldSize, WIDTH];
  const inputs: TensorSpec[] = ['a', 'b'].map((name) => ({ name, shape, dtype: 'float32' }));
  const part = (all: readonly number[], rank: number) =>
    all.slice((rank * all.length) / worldSize, ((rank + 1) * all.length) / worldSize);
  return runOnRanks(
    worldSize,
    () => ({ name: 'share', inputs, fn }),
    (rank) => ({ a: part(values.a, rank), b: part(values.b, rank) }),
  );
}

const concatenated = (parts: ReadonlyArray<ArrayLike<number>>) => parts.flatMap((part) => Array.from(part));

for (const worldSize of [2, 3]) {
  test(`gathering with the full gradient on ${worldSize} ranks trains as one rank does`, async () => {
    const alone = await runCompiled(whole, contrastive('full'));
    const { results } = await shareOf(worldSize, contrastive('full'));
    const losses = results.map((rank) => rank.output('loss')[0]!);
    assertClose([losses.reduce((sum, loss) => sum + loss, 0) / worldSize], alone.loss!, 1e-6, 'loss');
    // Every rank's loss is a mean over its own rows, so the gradients of their sum are worldSize times too large.
    for (const name of ['da', 'db']) {
      const shares = concatenated(results.map((rank) => rank.output(name))).map((value) => value / worldSize);
      assertClose(shares, alone[name]!, 1e-6, name);
    }
  });

  test(`gathering without gradient on ${worldSize} ranks leaves out the keys, own rows included`, async () => {
    const { results, calls } = await shareOf(worldSize, contrastive('none'));
    assert.ok(
      calls.every((call) => call.startsWith('allGather')),
      `only gathers: ${calls}`,
    );
    // The same with the gathered rows given as constants.
    const labels = Array.from({ length: ROWS }, (_, i) => i);
    const alone = await runCompiled({ ...whole, keysA: whole.a, keysB: { ...whole.b, values: values.b } }, (t) => {
      const { value, grads } = tf.valueAndGrads((a: tf.Tensor, b: tf.Tensor) => {
        const [x, y] = [l2Normalize(a), l2Normalize(b)];
        const [keysX, keysY] = [l2Normalize(tf.add(t.keysA!, tf.sub(t.a!, t.keysA!))), l2Normalize(t.keysB!)];
        const rows = softmaxCrossEntropy(tf.mul(tf.matMul(x, keysY, false, true), 5), labels);
        const columns = softmaxCrossEntropy(tf.mul(tf.matMul(y, keysX, false, true), 5), labels);
        return tf.mul(tf.add(rows, columns), 0.5);
      })([t.a!.clone(), t.b!.clone()]);
      return { loss: value, da: grads[0]!, db: grads[1]! };
    });
    for (const name of ['da', 'db']) {
      const shares = concatenated(results.map((rank) => rank.output(name))).map((value) => value / worldSize);
      assertClose(shares, alone[name]!, 1e-6, name);
    }
  });

  test(`batch norm over ${worldSize} ranks equals batch norm of the whole batch on one`, async () => {
    const normalized = ({ a, b }: Record<string, tf.Tensor>) => {
      const scale = tf.tensor1d([1, 2, -0.5]);
      const shift = tf.tensor1d([0, 1, 2]);
      const { results, gradients } = valueAndGradients({ a: a!, scale, shift }, ({ a, scale, shift }) => {
        // Far from zero, so that sums of squares would lose digits.
        const { y, mean, varianceBiased } = batchNormTrain(tf.add(a, 50), scale, shift, 1e-5);
        return { loss: tf.sum(tf.mul(tf.square(y), b!)), mean, variance: varianceBiased };
      });
      const { a: da, scale: dScale, shift: dShift } = gradients;
      return { ...results, da, dScale, dShift };
    };
    const alone = await runCompiled(whole, normalized);
    const { results } = await shareOf(worldSize, normalized);
    const sum = (name: string) =>
      results.map((rank) => Array.from(rank.output(name))).reduce((x, y) => x.map((value, i) => value + y[i]!));
    // float32 holds numbers near 50 to 4e-6.
    for (const rank of results) {
      assertClose(rank.output('mean'), alone.mean!, 1e-6, 'mean');
      assertClose(rank.output('variance'), alone.variance!, 1e-5, 'variance');
      assert.deepEqual(rank.output('variance'), results[0]!.output('variance'));
    }
    for (const name of ['loss', 'dScale', 'dShift']) assertClose(sum(name), alone[name]!, 2e-5, name);
    assertClose(concatenated(results.map((rank) => rank.output('da'))), alone.da!, 2e-5, 'da');
  });
}

test('allReduceSum sums values and gradients over ranks', async () => {
  const summed = ({ a, b }: Record<string, tf.Tensor>) => {
    const { value, grads } = tf.valueAndGrads((a: tf.Tensor) => tf.sum(tf.mul(allReduceSum(a), b!)))([a!]);
    return { value, da: grads[0]!, total: allReduceSum(a!), own: tf.neg(a!) };
  };
  const { results } = await shareOf(2, summed);
  const halves = (all: readonly number[]) => [all.slice(0, 9), all.slice(9)];
  const total = (all: readonly number[]) => halves(all)[0]!.map((value, i) => value + halves(all)[1]![i]!);
  for (const [rank, result] of results.entries()) {
    assertClose(result.output('total'), total(values.a), 1e-6, 'total');
    assertClose(result.output('da'), total(values.b), 1e-6, 'da');
    assertClose(
      result.output('own'),
      halves(values.a)[rank]!.map((value) => -value),
      1e-6,
      'own',
    );
  }
});

test('collectives come in one order that is the same on every rank', async () => {
  const { calls } = await shareOf(2, contrastive('full'));
  assert.deepEqual(calls, ['allGather(9)', 'allGather(9)', 'reduceScatter(18)', 'reduceScatter(18)']);
  const inputs = [
    { name: 'a', shape: [2, 3], dtype: 'float32' as const },
    { name: 'b', shape: [2, 3], dtype: 'float32' as const },
  ];
  const traces = [0, 1, 2].map((rank) =>
    traceStep({ name: 'order', inputs, fn: contrastive('full') }, { rank, worldSize: 3 }),
  );
  const shape = (trace: (typeof traces)[number]) =>
    trace.segments.map(({ nodes, after }) => [nodes, after].map((list) => list.map(({ kernel }) => kernel.name)));
  assert.deepEqual(shape(traces[1]!), shape(traces[0]!));
  assert.deepEqual(shape(traces[2]!), shape(traces[0]!));
  assert.deepEqual(
    traces[0]!.segments.map(({ after }) => after.length),
    [2, 2, 0],
  );
});

test('at world size 1 collectives are the identity and cut nothing', () => {
  const inputs = [
    { name: 'a', shape: [2, 3], dtype: 'float32' as const },
    { name: 'b', shape: [2, 3], dtype: 'float32' as const },
  ];
  const traced = traceStep({ name: 'alone', inputs, fn: contrastive('none') });
  assert.equal(traced.segments.length, 1);
  assert.equal(traced.collectives.length, 0);
});

test('a rank outside of the world is refused, and the topology is restored', () => {
  assert.throws(() => withTopology({ rank: 2, worldSize: 2 }, () => 0), {
    code: 'config',
    message: /rank 2 of world size 2/,
  });
  assert.throws(() => withTopology({ rank: 1, worldSize: 2 }, () => assert.fail('inside')), /inside/);
  assert.deepEqual(topology(), { rank: 0, worldSize: 1 });
});
