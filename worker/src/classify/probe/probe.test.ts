// Probes on cached features against PyTorch's optimum (test/golden/classifier.json), on one and on several ranks; the sweep's choice.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { createMemoryGroups, type ProcessGroup } from '@slip/comms';
import { minimise } from './lbfgs.js';
import { ProbeObjective } from './probe-objective.js';
import { bestOf, fit, type ShardedRows, type SolveOptions, sweep } from './solve.js';

const golden = (
  JSON.parse(readFileSync(new URL('../../../../test/golden/classifier.json', import.meta.url), 'utf8')) as {
    probes: {
      rows: number;
      width: number;
      classes: number;
      results: { l2: number; value: number; acc1: number; weight: number[] }[];
    };
  }
).probes;
const { rows: total, width, classes } = golden;
const options: SolveOptions = {
  ...{ solver: 'lbfgs', maxIterations: 500, epochs: 300, batchRows: 60, lr: 0.5, momentum: 0.9, seed: 1 },
};
const everything = Uint32Array.from({ length: total }, (_, row) => row);

function shareOf({ rank, worldSize }: ProcessGroup): ShardedRows {
  const [first, end] = [rank, rank + 1].map((r) => Math.floor((total * r) / worldSize));
  const features = Float32Array.from({ length: (end - first) * width }, (_, i) => {
    const [r, c] = [first + Math.floor(i / width), i % width];
    return Math.sin(0.7 * r + 1.3 * c) + 0.5 * Math.sin(r * (c + 1));
  });
  const labels = Int32Array.from({ length: end - first }, (_, i) => {
    const r = first + i;
    return (r * r + Math.floor(r / 7)) % classes;
  });
  return { features, labels, first, total };
}

async function onRanks<T>(
  count: number,
  work: (objective: ProbeObjective, rows: ShardedRows) => Promise<T>,
): Promise<T[]> {
  const groups = createMemoryGroups(count);
  const results = await Promise.all(
    groups.map(async (group) => {
      const objective = await ProbeObjective.create({ width, numClasses: classes }, group, 1);
      const result = await work(objective, shareOf(group));
      await objective.close();
      return result;
    }),
  );
  await Promise.all(groups.map((group) => group.close()));
  return results;
}

for (const ranks of [1, 3]) {
  test(`L-BFGS on ${ranks} ranks reaches PyTorch's optimum for every regularisation`, async () => {
    for (const { l2, value, acc1, weight } of golden.results) {
      const found = await onRanks(ranks, async (objective, rows) => {
        const { head, converged } = await fit(objective, rows, everything, l2, options);
        const own = Int32Array.from({ length: rows.labels.length }, (_, row) => row);
        const at = await objective.evaluate(head, rows, own, total, l2);
        return { head, converged, value: at.value, acc1: (await objective.figures(head, rows, own)).acc1 };
      });
      for (const one of found) {
        assert.deepEqual(one.head, found[0].head, 'all ranks have the same classifier');
        assert.ok(one.converged);
        assert.ok(Math.abs(one.value - value) < 1e-6 * value, `l2 ${l2}: ${one.value}, ${value}`);
        assert.ok(Math.abs(one.acc1 - acc1) < 1e-9);
        const error = Math.hypot(...weight.map((expected, i) => one.head[i] - expected)) / Math.hypot(...weight);
        assert.ok(error < 5e-3, `l2 ${l2}: weights differ by ${error}`);
      }
    }
  });
}

test('SGD over all rows comes close to the optimum, alike on 1 and 3 ranks', async () => {
  const { l2, value } = golden.results[0];
  const run = (objective: ProbeObjective, rows: ShardedRows) =>
    fit(objective, rows, everything, l2, { ...options, solver: 'sgd', batchRows: 20 });
  const [[one], [three]] = [await onRanks(1, run), await onRanks(3, run)];
  const difference = Math.hypot(...one.head.map((v, i) => v - three.head[i])) / Math.hypot(...one.head);
  assert.ok(difference < 1e-4, `${difference}`);
  const [at] = await onRanks(1, (objective, rows) =>
    objective.evaluate(one.head, rows, Int32Array.from(everything), total, l2),
  );
  assert.ok(at.value < 1.001 * value, `${at.value}, optimum ${value}`);
});

test('a rank that is asked to stop stops all of them', async () => {
  const groups = createMemoryGroups(3);
  await Promise.all(
    groups.map(async (group) => {
      let calls = 0;
      const stop = () => group.rank === 1 && ++calls > 3;
      const objective = await ProbeObjective.create({ width, numClasses: classes }, group, 1, stop);
      await assert.rejects(fit(objective, shareOf(group), everything, 1e-3, options), { code: 'stopped' });
      await objective.close();
    }),
  );
  await Promise.all(groups.map((group) => group.close()));
});

test('the sweep sees the held-out share only in its figures, and a tie goes to the stronger regularisation', async () => {
  const told: number[] = [];
  const run = (objective: ProbeObjective, rows: ShardedRows) =>
    sweep(objective, rows, [1e-1, 1e-3], 0.25, options, ({ l2 }) => told.push(l2));
  const [[one], three] = [await onRanks(1, run), await onRanks(3, run)];
  assert.deepEqual(told.slice(0, 2), [1e-1, 1e-3]);
  for (const other of three)
    assert.deepEqual(
      other.map(({ acc1 }) => acc1),
      one.map(({ acc1 }) => acc1),
    );
  const result = (l2: number, acc1: number) => ({ l2, acc1, iterations: 1, converged: true });
  assert.equal(bestOf([result(1e-4, 50), result(1e-2, 50), result(1e-1, 40)]).l2, 1e-2);
});

test('L-BFGS finds the minimum of a badly scaled valley', async () => {
  // Rosenbrock's function: minimum 0 at (1, 1).
  const evaluate = async ([x, y]: Float64Array) => ({
    value: (1 - x) ** 2 + 100 * (y - x * x) ** 2,
    gradient: Float64Array.of(-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)),
  });
  const { x, iterations, converged } = await minimise(evaluate, Float64Array.of(-1.2, 1), {
    ...{ maxIterations: 200, tolerance: 1e-8, progress: 0 },
  });
  assert.ok(converged && iterations < 100, `${iterations} iterations`);
  assert.ok(Math.abs(x[0] - 1) < 1e-6 && Math.abs(x[1] - 1) < 1e-6);
});
