// The products against loops in double precision, for shapes that do and do not fill vectors; the binary against its source.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { kernelSources } from './compile-kernels.js';
import { addAndProject, expandAndSubtract, projectBack } from './matrix-kernels.js';

test('the binary is what the source compiles to', async () => {
  const { found, made } = await kernelSources.compare('matrix-kernels');
  assert.equal(found, made, 'run npm run kernels -w @slip/comms');
});

const values = (length: number, seed: number) => Float32Array.from({ length }, (_, i) => Math.sin(seed + 1.7 * i));

test('all three products are right for any shape', () => {
  const sizes = fc.record({
    rows: fc.integer({ min: 1, max: 9 }),
    columns: fc.integer({ min: 1, max: 37 }),
    rank: fc.integer({ min: 1, max: 6 }),
  });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 0, max: 99 }), (shape, seed) => {
      const { rows, columns, rank } = shape;
      const [start, addend, right] = [
        values(rows * columns, seed),
        values(rows * columns, seed + 1),
        values(rank * columns, seed + 2),
      ];
      const matrix = start.slice();
      const left = new Float32Array(rank * rows);
      addAndProject(shape, matrix, addend, right, left);
      const sum = start.map((value, i) => value + addend[i]);
      assert.deepEqual(matrix, sum);
      each(rank, rows, (j, i) =>
        near(left[j * rows + i], columns, (k) => sum[i * columns + k] * right[j * columns + k]),
      );

      const back = new Float32Array(rank * columns);
      projectBack(shape, matrix, left, back);
      each(rank, columns, (j, k) =>
        near(back[j * columns + k], rows, (i) => sum[i * columns + k] * left[j * rows + i]),
      );

      const product = new Float32Array(rows * columns);
      expandAndSubtract(shape, matrix, left, right, 0.25, product);
      each(rows, columns, (i, k) =>
        near(product[i * columns + k], rank, (j) => left[j * rows + i] * right[j * columns + k]),
      );
      for (const [i, value] of matrix.entries())
        assert.ok(Math.abs(value - (sum[i] - 0.25 * product[i])) < 1e-5 * (1 + Math.abs(product[i])));
    }),
    { numRuns: 60 },
  );
});

test('rows of many pages fit', () => {
  const shape = { rows: 2, columns: 70_001, rank: 5 };
  const matrix = values(140_002, 1);
  const right = new Float32Array(5 * 70_001).fill(1);
  const left = new Float32Array(10);
  addAndProject(shape, matrix, new Float32Array(140_002).fill(1), right, left);
  near(left[0], 70_001, (k) => matrix[k]);
});

function each(count: number, inner: number, check: (i: number, j: number) => void): void {
  for (let i = 0; i < count; i++) for (let j = 0; j < inner; j++) check(i, j);
}

/** Equal to the sum of the terms within float32's rounding of as many. */
function near(actual: number, count: number, term: (i: number) => number): void {
  let [sum, size] = [0, 1e-6];
  for (let i = 0; i < count; i++) {
    sum += term(i);
    size += Math.abs(term(i));
  }
  assert.ok(Math.abs(actual - sum) <= 1e-6 * Math.sqrt(count) * size, `${actual}, expected ${sum}`);
}
