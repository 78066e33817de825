// PowerSGD against numpy (test/golden/powersgd.json), its plan, its laws, and that resuming goes on as if nothing had been.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import type { Checkpoint } from '@slip/checkpoint';
import { createMemoryGroups, createSoloGroup } from '@slip/comms';
import { RandomStream } from '@slip/core';
import { resolveModel, stateLayout, type TensorEntry } from '@slip/model/architecture';
import { PowerSgd, planCompression } from './powersgd.js';
import { powerSgdTensors, restorePowerSgd } from './powersgd-checkpoint.js';
import { orthonormalise, refillEmpty } from './thin-factors.js';

interface Golden {
  readonly shapes: readonly number[][];
  readonly rank: number;
  readonly worldSize: number;
  readonly compressed: readonly number[];
  readonly start: readonly (readonly number[] | null)[];
  readonly steps: readonly (readonly {
    readonly mean: readonly number[];
    readonly left?: readonly number[];
    readonly right?: readonly number[];
    readonly errors?: readonly (readonly number[])[];
  }[])[];
}

const golden = JSON.parse(
  readFileSync(path.resolve(import.meta.dirname, '../../../test/golden/powersgd.json'), 'utf8'),
) as Golden;

function entriesOf(shapes: readonly (readonly number[])[]): TensorEntry[] {
  let offset = 0;
  return shapes.map((shape, i) => {
    const size = shape.reduce((product, length) => product * length, 1);
    offset += size;
    const fixed = { kind: 'param', dtype: 'float32', decay: true, initial: { kind: 'constant', value: 0 } } as const;
    return { ...fixed, name: `tensor${i}`, shape, size, offset: offset - size };
  });
}

function assertClose(actual: ArrayLike<number>, expected: readonly number[], tolerance: number, what: string): void {
  assert.equal(actual.length, expected.length, what);
  const scale = Math.max(...expected.map(Math.abs), 1e-3);
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs(actual[i] - value) <= tolerance * scale, `${what}[${i}] is ${actual[i]}, numpy says ${value}`);
}

test('three steps on two ranks: factors, sums and errors are those of numpy within 2e-5 of the largest value', async () => {
  const entries = entriesOf(golden.shapes);
  const total = entries.at(-1)!.offset + entries.at(-1)!.size;
  await Promise.all(
    createMemoryGroups(golden.worldSize).map(async (group) => {
      const sgd = await PowerSgd.create(entries, total, group, { rank: golden.rank, startStep: 0, seed: 0 });
      const { tensors } = sgd.plan;
      assert.deepEqual(
        tensors.map(({ offset }) => offset),
        golden.compressed.map((t) => entries[t].offset),
      );
      for (const [i, { rightAt }] of tensors.entries()) sgd.right.set(golden.start[golden.compressed[i]]!, rightAt);
      for (const [step, expected] of golden.steps.entries()) {
        const grads = new Float32Array(total);
        for (const [t, { offset, size }] of entries.entries()) {
          for (let i = 0; i < size; i++)
            grads[offset + i] =
              Math.sin(0.37 * (i + 1) * (t + 1) + 1.3 * group.rank + 0.7 * step) + 0.1 * Math.cos(0.011 * i * i);
        }
        await sgd.reduce(grads, step);
        for (const [t, { offset, size }] of entries.entries()) {
          const mean = grads.subarray(offset, offset + size).map((value) => value / golden.worldSize);
          assertClose(mean, expected[t].mean, 2e-5, `step ${step}, mean of tensor ${t}`);
        }
        for (const [i, { rightAt, rank, columns, offset, rows }] of tensors.entries()) {
          const { right, errors } = expected[golden.compressed[i]];
          // The product's factor is that of the sum over ranks.
          const ours = sgd.right.subarray(rightAt, rightAt + rank * columns).map((value) => value / golden.worldSize);
          assertClose(ours, right!, 2e-5, `step ${step}, right factor ${i}`);
          const error = sgd.errors.subarray(offset, offset + rows * columns);
          assertClose(error, errors![group.rank], 2e-5, `step ${step}, errors ${i}`);
        }
      }
      await group.barrier();
    }),
  );
});

test('left factors are those of numpy: orthonormal, in the order of the columns', () => {
  const [t] = golden.compressed;
  const [rows] = golden.shapes[t];
  const left = Float32Array.from(golden.steps[0][t].left!);
  // R of a QR decomposition is upper triangular: mixing a column with those before it changes nothing.
  const mixed = left.slice();
  for (let i = 0; i < rows; i++) mixed[rows + i] = 5 * left[i] + 0.5 * left[rows + i];
  orthonormalise({ rows, columns: 1, rank: 2 }, mixed);
  assertClose(mixed, [...left], 1e-6, 'left factor');
});

test('a column in the span of others becomes zero, and its partner is drawn anew', () => {
  const left = Float32Array.of(1, 2, 3, 4, 2, 4, 6, 8, 0, 0, 0, 0);
  orthonormalise({ rows: 4, columns: 2, rank: 3 }, left);
  assert.deepEqual([...left.subarray(4)], new Array(8).fill(0));
  const right = Float32Array.of(1, 2, 0, 0);
  refillEmpty({ rows: 4, columns: 2, rank: 2 }, right, new RandomStream('test'));
  assert.deepEqual([...right.subarray(0, 2)], [1, 2]);
  assert.ok(right[2] !== 0 && right[3] !== 0);
});

test('every parameter of a model is in the plan once, and factors are a small part of it', () => {
  const { entries, parameterCount } = stateLayout(resolveModel('SLIP_VITB16'));
  const plan = planCompression(entries, 4);
  const ranges = [
    ...plan.tensors.map(({ offset, rows, columns }) => [offset, rows * columns]),
    ...plan.plain.map(({ offset, size }) => [offset, size]),
  ].sort(([a], [b]) => a - b);
  let end = 0;
  for (const [offset, size] of ranges) {
    assert.equal(offset, end);
    end += size;
  }
  assert.equal(end, parameterCount);
  assert.ok(plan.leftLength + plan.rightLength < parameterCount / 50, `${plan.leftLength + plan.rightLength}`);
});

test('a sum of low rank arrives whole, and what a rank keeps is what was not sent', async () => {
  const entries = entriesOf([[24, 30]]);
  const groups = createMemoryGroups(3);
  const random = new RandomStream('low rank');
  const draw = (length: number) => Float32Array.from({ length }, () => random.normal());
  const [u, v, w, x] = [draw(24), draw(30), draw(24), draw(30)];
  const noise = groups.map(() => draw(720));
  const exact = Float32Array.from({ length: 720 }, (_, i) => {
    const [row, column] = [Math.floor(i / 30), i % 30];
    return u[row] * v[column] + w[row] * x[column];
  });
  const results = await Promise.all(
    groups.map(async (group) => {
      const sgd = await PowerSgd.create(entries, 720, group, { rank: 3, startStep: 0, seed: 1 });
      const grads = exact.slice();
      await sgd.reduce(grads, 0);
      assertClose(
        grads,
        [...exact].map((value) => 3 * value),
        1e-5,
        'a sum of rank 2',
      );
      assert.ok(sgd.errors.every((value) => Math.abs(value) < 1e-4));
      // Error feedback: what has been sent and what is still kept are together all gradients.
      const sent = new Float64Array(720);
      for (let step = 1; step <= 4; step++) {
        const noisy = noise[group.rank].slice();
        await sgd.reduce(noisy, step);
        noisy.forEach((value, i) => {
          sent[i] += value;
        });
      }
      const kept = sgd.errors.slice();
      await group.allReduce(kept);
      const all = noise[0].map((_, i) => 4 * noise.reduce((sum, own) => sum + own[i], 0));
      assertClose(
        sent.map((value, i) => value + kept[i]),
        [...all],
        1e-5,
        'sent and kept',
      );
      return sent;
    }),
  );
  for (const sent of results) assert.deepEqual(sent, results[0], 'all ranks get the same bits');
});

test('with its errors and factors set back, it goes on bit for bit; plain steps come first', async () => {
  const entries = entriesOf([[16, 40], [9]]);
  const options = { rank: 2, startStep: 3, seed: 5 };
  const gradients = (step: number) => {
    const random = new RandomStream('gradients', step);
    return Float32Array.from({ length: 649 }, () => random.normal());
  };
  const whole = await PowerSgd.create(entries, 649, createSoloGroup(), options);
  assert.deepEqual([whole.isDue(2), whole.isDue(3)], [false, true]);
  const resumed = await PowerSgd.create(entries, 649, createSoloGroup(), options);
  for (let step = 3; step < 8; step++) {
    const [a, b] = [gradients(step), gradients(step)];
    await whole.reduce(a, step);
    if (step < 6) {
      resumed.errors.set(whole.errors);
      resumed.right.set(whole.right);
      continue;
    }
    await resumed.reduce(b, step);
    assert.deepEqual(b, a);
  }
});

test('on another number of ranks the sum of the errors is kept, and on the same one each rank has its own', async () => {
  const entries = entriesOf([[8, 6], [5]]);
  const create = (worldSize: number) =>
    Promise.all(
      createMemoryGroups(worldSize).map((group) =>
        PowerSgd.create(entries, 53, group, { rank: 1, startStep: 0, seed: 1 }),
      ),
    );
  const written = await create(3);
  for (const [rank, { errors, right }] of written.entries()) {
    for (let i = 0; i < errors.length; i++) errors[i] = (rank + 1) * (i % 7);
    right.fill(9);
  }
  const tensors = written.flatMap((sgd, rank) => powerSgdTensors(sgd, rank));
  const checkpoint: Checkpoint = {
    ...{ path: 'somewhere', step: 1, state: {}, files: ['powersgd'], places: () => [], shards: () => [] },
    tensorNames: () => tensors.map(({ name }) => name),
    async readInto(_, resolve) {
      for (const { name, dtype, shape, data } of tensors) resolve(name, dtype, shape)?.set(data as never);
    },
  };
  for (const worldSize of [1, 2, 3, 4]) {
    const ranks = await create(worldSize);
    for (const [rank, sgd] of ranks.entries()) {
      assert.equal(await restorePowerSgd(checkpoint, sgd, { rank, worldSize }), 3);
      assert.ok(sgd.right.every((value) => value === 9));
    }
    for (let i = 0; i < 53; i++) {
      const sum = ranks.reduce((total, { errors }) => total + errors[i], 0);
      assert.equal(sum, 6 * (i % 7), `${worldSize} ranks`);
    }
    if (worldSize === 3)
      for (const [rank, { errors }] of ranks.entries()) assert.deepEqual(errors, written[rank].errors);
  }
  const older = { ...checkpoint, files: ['model', 'optimizer'] };
  assert.equal(await restorePowerSgd(older, written[0], { rank: 0, worldSize: 3 }), 0);
});
