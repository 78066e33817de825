// What every process group must do; run by each implementation's test.
import assert from 'node:assert/strict';
import test from 'node:test';
import { RandomStream } from '@slip/core';
import { chooseAlgorithm } from '../algorithms.js';
import type { ProcessGroup } from '../process-group.js';

const WORLDS = [1, 2, 3, 4];
const SIZES = [0, 1, 7, 1000, 70001, 300000];

export function describeProcessGroup(name: string, makeGroups: (worldSize: number) => Promise<ProcessGroup[]>): void {
  for (const worldSize of WORLDS) {
    test(`${name}, ${worldSize} ranks: collectives of all sizes`, async () => {
      const groups = await makeGroups(worldSize);
      try {
        for (const size of SIZES) await checkSize(groups, size);
        await checkSmall(groups);
      } finally {
        await Promise.all(groups.map((group) => group.close()));
      }
      await assert.rejects(groups[0].barrier(), /closed/);
    });
  }
}

function inputs(worldSize: number, size: number): Float32Array[] {
  return Array.from({ length: worldSize }, (_, rank) => {
    const random = new RandomStream('inputs', rank, size);
    return Float32Array.from({ length: size }, () => random.uniform(-1, 1));
  });
}

async function checkSize(groups: readonly ProcessGroup[], size: number): Promise<void> {
  const worldSize = groups.length;
  const all = inputs(worldSize, size);
  const exact = Float64Array.from({ length: size }, (_, i) => all.reduce((sum, values) => sum + values[i], 0));

  const sums = await each(groups, async (group, rank) => {
    // An odd offset in elements: views of an arena start anywhere.
    const arena = new Float32Array(size + 3);
    const buffer = arena.subarray(1, 1 + size);
    buffer.set(all[rank]);
    await group.allReduce(buffer);
    assert.deepEqual([arena[0], arena[size + 1], arena[size + 2]], [0, 0, 0], 'nothing is written beside the buffer');
    return buffer;
  });
  const stated = statedSum(all);
  for (const sum of sums) assertSameBits(sum, stated);
  sums[0].forEach((value, i) => {
    assert.ok(Math.abs(value - exact[i]) <= 1e-6 * worldSize, `allReduce of ${size}: element ${i}`);
  });
  const again = await each(groups, async (group, rank) => {
    const buffer = all[rank].slice();
    await group.allReduce(buffer);
    return buffer;
  });
  assertSameBits(again[0], sums[0]);

  const largest = await each(groups, async (group, rank) => {
    const buffer = all[rank].slice();
    await group.allReduce(buffer, 'max');
    return buffer;
  });
  largest[worldSize - 1].forEach((value, i) => {
    assert.equal(value, Math.max(...all.map((values) => values[i])));
  });

  const part = Math.floor(size / worldSize);
  await each(groups, async (group, rank) => {
    const output = new Float32Array(part);
    await group.reduceScatter(all[rank].subarray(0, part * worldSize), output);
    output.forEach((value, i) => {
      assert.ok(Math.abs(value - exact[rank * part + i]) <= 1e-6 * worldSize, `reduceScatter of ${size}: element ${i}`);
    });
    assertSameBits(output, statedPart(all, rank, part));
    const gathered = new Float32Array(size * worldSize);
    await group.allGather(all[rank], gathered);
    all.forEach((values, r) => {
      assertSameBits(gathered.subarray(r * size, (r + 1) * size), values);
    });
    const copied = all[rank].slice();
    await group.broadcast(copied, worldSize - 1);
    assertSameBits(copied, all[worldSize - 1]);
  });
}

async function checkSmall(groups: readonly ProcessGroup[]): Promise<void> {
  const objects = await each(groups, (group, rank) => group.allGatherObject({ rank, text: 'é'.repeat(rank) }));
  for (const list of objects)
    assert.deepEqual(
      list,
      groups.map((_, rank) => ({ rank, text: 'é'.repeat(rank) })),
    );
  // Calls that are not awaited are carried out in order.
  await each(groups, async (group) => {
    const first = Float32Array.of(1);
    const second = Float32Array.of(2);
    await Promise.all([group.allReduce(first), group.barrier(), group.allReduce(second)]);
    assert.deepEqual([first[0], second[0]], [groups.length, 2 * groups.length]);
  });
  await assert.rejects(groups[0].broadcast(new Float32Array(2), groups.length), /broadcast: root \d is not a rank/);
  await assert.rejects(groups[0].allGatherObject('x'.repeat(2 ** 20)), /1048578 bytes of JSON, the limit is 1048576/);
  assert.deepEqual(
    await each(groups, (group) => group.allGatherObject(undefined)),
    groups.map(() => groups.map(() => null)),
  );
  await assert.rejects(groups[0].allGather(new Float32Array(2), new Float32Array(3)), /allGather: 3 elements are not/);
}

/** The plain sum in the order that allReduce states. */
function statedSum(all: readonly Float32Array[]): Float32Array {
  const size = all[0].length;
  if (chooseAlgorithm(size, all.length) === 'direct') return sumFrom(all, 0, 0, size);
  const sum = new Float32Array(size);
  for (let s = 0; s < all.length; s++) {
    const [start, end] = [s, s + 1].map((i) => Math.floor((size * i) / all.length));
    sum.set(sumFrom(all, s, start, end), start);
  }
  return sum;
}

function statedPart(all: readonly Float32Array[], rank: number, part: number): Float32Array {
  const first = chooseAlgorithm(part * all.length, all.length) === 'direct' ? 0 : rank + 1;
  return sumFrom(all, first, rank * part, (rank + 1) * part);
}

function sumFrom(all: readonly Float32Array[], first: number, start: number, end: number): Float32Array {
  return Float32Array.from({ length: end - start }, (_, i) => {
    let sum = all[first % all.length][start + i];
    for (let k = 1; k < all.length; k++) sum = Math.fround(sum + all[(first + k) % all.length][start + i]);
    return sum;
  });
}

function each<T>(
  groups: readonly ProcessGroup[],
  work: (group: ProcessGroup, rank: number) => Promise<T>,
): Promise<T[]> {
  return Promise.all(groups.map((group, rank) => work(group, rank)));
}

function assertSameBits(found: Float32Array, expected: Float32Array): void {
  const bytes = (values: Float32Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  assert.ok(bytes(found).equals(bytes(expected)), 'same bits');
}
