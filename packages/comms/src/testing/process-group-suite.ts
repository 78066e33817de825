// What every process group must do; run by each implementation's test.
import assert from 'node:assert/strict';
import test from 'node:test';
import { RandomStream } from '@slip/core';
import { partsOf, shardLengths } from '../collectives.js';
import type { ProcessGroup } from '../process-group.js';
import { add, allReduceInStatedOrder, reduceScatterInStatedOrder } from './stated-order.js';

const WORLDS = [1, 2, 3, 4, 5];
/** Elements; none but 1000 is a multiple of anything. Messages of several chunks have a test of their own. */
const SIZES = (worldSize: number) => [0, 1, 7, worldSize - 1, 1000, 70001, 300000];

type MakeGroups = (worldSize: number) => Promise<ProcessGroup[]>;

/**
 * In what order sums are made: that of frames, that of memory which all ranks share, or one that depends on the machines; the
 * last is only checked with numbers whose sums are exact.
 */
export type Order = 'frames' | 'memory' | 'machines';

export function describeProcessGroup(
  name: string,
  makeGroups: MakeGroups,
  order: Order = 'frames',
  worlds = WORLDS,
): void {
  const withGroups = async (worldSize: number, work: (groups: ProcessGroup[]) => Promise<void>) => {
    const groups = await makeGroups(worldSize);
    try {
      await work(groups);
    } finally {
      await Promise.all(groups.map((group) => group.close()));
    }
  };

  for (const worldSize of worlds) {
    test(`${name}, ${worldSize} ranks: collectives of all sizes, bit by bit`, () =>
      withGroups(worldSize, async (groups) => {
        for (const size of SIZES(worldSize)) await checkSize(groups, size, order);
        await checkUnequalParts(groups);
        await checkArenas(groups);
        await checkHalves(groups, order);
        await checkObjects(groups);
        await checkQueue(groups);
      }));
  }

  test(`${name}: late ranks do not change the bits`, () => withGroups(3, (groups) => checkArrivalOrder(groups, order)));
  test(`${name}: a broadcast root may run far ahead`, () => withGroups(3, checkRunningAhead));
  test(`${name}: a message of more frames than a window`, () => withGroups(2, checkLongMessage));
  test(`${name}: wrong arguments are refused and leave the group usable`, () => withGroups(2, checkArguments));
  test(`${name}: another operation, size, type or root is named at once on all ranks`, async () => {
    for (const disagree of DISAGREEMENTS) await withGroups(3, (groups) => checkDisagreement(groups, disagree));
  });
  test(`${name}: closing ends the own calls and is told to the others`, () => withGroups(3, checkClosing));
}

async function checkSize(groups: readonly ProcessGroup[], size: number, order: Order): Promise<void> {
  const worldSize = groups.length;
  const inputs = inputsFor(order, worldSize, size);
  const at = `${size} elements`;

  const reduced = await each(groups, async (group, rank) => {
    // Views of an arena start anywhere, and nothing beside them may be touched.
    const arena = new Float32Array(size + 3).fill(7);
    const buffer = arena.subarray(1, 1 + size);
    buffer.set(inputs[rank]);
    await group.allReduce(buffer);
    assert.deepEqual([arena[0], arena[size + 1], arena[size + 2]], [7, 7, 7], `${at}: neighbours`);
    return buffer;
  });
  const sum = allReduceInStatedOrder(inputs, add, order === 'memory');
  for (const found of reduced) assertSameBits(found, sum, `${at}: allReduce sum`);

  const largest = allReduceInStatedOrder(inputs, Math.max, order === 'memory');
  await each(groups, async (group, rank) => {
    const buffer = inputs[rank].slice();
    await group.allReduce(buffer, 'max');
    assertSameBits(buffer, largest, `${at}: allReduce max`);
  });

  const part = Math.floor(size / worldSize);
  const whole = inputs.map((input) => input.subarray(0, part * worldSize));
  const scattered = reduceScatterInStatedOrder(whole, order === 'memory');
  await each(groups, async (group, rank) => {
    const output = new Float32Array(part);
    const before = inputs[rank].slice();
    await group.reduceScatter(whole[rank], output);
    assertSameBits(output, scattered.subarray(rank * part, (rank + 1) * part), `${at}: reduceScatter`);
    assertSameBits(inputs[rank], before, `${at}: reduceScatter leaves its input alone`);
  });

  await each(groups, async (group, rank) => {
    const output = new Float32Array(size * worldSize);
    await group.allGather(inputs[rank], output);
    for (const [r, input] of inputs.entries()) {
      assertSameBits(output.subarray(r * size, (r + 1) * size), input, `${at}: allGather, part ${r}`);
    }
  });

  for (const root of new Set([0, worldSize - 1])) {
    await each(groups, async (group, rank) => {
      const floats = inputs[rank].slice();
      await group.broadcast(floats, root);
      assertSameBits(floats, inputs[root], `${at}: broadcast of floats`);
      const bytes = bytesOf(inputs[rank]).slice(0, Math.max(0, 4 * size - 1));
      await group.broadcast(bytes, root);
      assert.ok(bytesOf(inputs[root]).subarray(0, bytes.length).equals(bytes), `${at}: broadcast of bytes`);
    });
  }
}

/** Small whole numbers, whose sums are exact in any order. */
function wholeNumbers(rank: number, length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => ((i * 7 + rank * 13) % 101) - 50);
}

function sumOfWholeNumbers(worldSize: number, length: number): Float32Array {
  const sum = new Float32Array(length);
  for (let rank = 0; rank < worldSize; rank++) {
    for (const [i, value] of wholeNumbers(rank, length).entries()) sum[i] += value;
  }
  return sum;
}

async function checkUnequalParts(groups: readonly ProcessGroup[]): Promise<void> {
  const { length: worldSize } = groups;
  for (const scale of [0, 1, 997, 150_001]) {
    // The first rank has nothing at all.
    const lengths = groups.map((_, rank) => rank * scale + (rank % 2));
    const whole = lengths.reduce((sum, length) => sum + length, 0);
    const sum = sumOfWholeNumbers(worldSize, whole);
    await each(groups, async (group, rank) => {
      const [start] = partsOf(lengths)[rank];
      const output = new Float32Array(lengths[rank]);
      await group.reduceScatter(wholeNumbers(rank, whole), output, lengths);
      assertSameBits(output, sum.subarray(start, start + output.length), `reduceScatter of [${lengths}]`);
      const gathered = new Float32Array(whole);
      await group.allGather(output, gathered, lengths);
      assertSameBits(gathered, sum, `allGather of [${lengths}]`);
    });
    if (whole > 20_000 && worldSize > 2) return;
  }
}

/** Between machines values may travel as halves: near the exact sum, the same bits on all ranks, exact in shared memory. */
async function checkHalves(groups: readonly ProcessGroup[], order: Order): Promise<void> {
  for (const [wire, precision] of [
    ['bfloat16', 2 ** -8],
    ['float16', 2 ** -11],
  ] as const) {
    for (const size of [100, 70_001]) {
      const inputs = groups.map((_, rank) => Float32Array.from({ length: size }, (_v, i) => Math.sin(i + 17 * rank)));
      const sum = Float32Array.from({ length: size }, (_, i) => inputs.reduce((s, input) => s + input[i], 0));
      const tolerance = order === 'memory' ? 1e-6 : 2 * groups.length ** 2 * precision;
      const results = await each(groups, async (group, rank) => {
        const buffer = inputs[rank].slice();
        await group.allReduce(buffer, 'sum', wire);
        const lengths = shardLengths(size, groups.length);
        const [start, end] = partsOf(lengths)[rank];
        const part = new Float32Array(end - start);
        await group.reduceScatter(inputs[rank], part, lengths, wire);
        part.forEach((value, i) => {
          assert.ok(Math.abs(value - sum[start + i]) <= tolerance, `reduceScatter in ${wire}`);
        });
        return buffer;
      });
      for (const result of results) assertSameBits(result, results[0], `allReduce in ${wire}`);
      results[0].forEach((value, i) => {
        assert.ok(Math.abs(value - sum[i]) <= tolerance, `allReduce in ${wire}: ${value} for ${sum[i]}`);
      });
    }
  }
}

async function checkArenas(groups: readonly ProcessGroup[]): Promise<void> {
  const { length: worldSize } = groups;
  const size = 5003;
  await each(groups, async (group, rank) => {
    const own = await group.allocate(size + 2);
    const common = await group.allocate(size, 'common');
    assert.ok(own.every((value) => value === 0) && common.every((value) => value === 0), 'memory of zeros');
    for (let round = 0; round < 3; round++) {
      const values = own.subarray(1, 1 + size);
      values.set(wholeNumbers(rank, size));
      await group.allReduce(values);
      const sum = sumOfWholeNumbers(worldSize, size)[77];
      assert.deepEqual([own[0], values[77], own[size + 1]], [0, sum, 0]);
      values.set(wholeNumbers(rank, size));
      const lengths = partsOf(
        groups.map((_, r) => Math.floor((size * (r + 1)) / worldSize) - Math.floor((size * r) / worldSize)),
      );
      const [start, end] = lengths[rank];
      const part = new Float32Array(end - start);
      await group.reduceScatter(
        values,
        part,
        lengths.map(([from, to]) => to - from),
      );
      assert.equal(values[5], wholeNumbers(rank, size)[5], 'reduceScatter leaves its input alone');
      // The own part of the common arena is written where it lies, and nobody has to gather.
      common.subarray(start, end).set(part);
      await group.allGather(
        common.subarray(start, end),
        common,
        lengths.map(([from, to]) => to - from),
      );
      assert.equal(common[77], sum);
      await group.allGather(
        part,
        values,
        lengths.map(([from, to]) => to - from),
      );
      assertSameBits(values, common, 'the same in both arenas');
      await group.barrier();
    }
  });
}

async function checkObjects(groups: readonly ProcessGroup[]): Promise<void> {
  const value = (rank: number) => ({ rank, text: 'é'.repeat(rank), none: null, list: [1.5, [rank]] });
  const lists = await each(groups, (group, rank) => group.allGatherObject(value(rank)));
  for (const list of lists) {
    assert.deepEqual(
      list,
      groups.map((_, rank) => value(rank)),
    );
  }
  await each(groups, (group) => group.barrier());
}

async function checkQueue(groups: readonly ProcessGroup[]): Promise<void> {
  await each(groups, async (group, rank) => {
    const [first, long, last] = [Float32Array.of(1), new Float32Array(40_000).fill(rank), Float32Array.of(2)];
    await Promise.all([group.allReduce(first), group.barrier(), group.allReduce(long), group.allReduce(last)]);
    const { length: worldSize } = groups;
    assert.deepEqual([first[0], long[39_999], last[0]], [worldSize, (worldSize * (worldSize - 1)) / 2, 2 * worldSize]);
  });
}

async function checkArrivalOrder(groups: readonly ProcessGroup[], order: Order): Promise<void> {
  for (const size of [100, 50_000]) {
    const inputs = inputsFor(order, 3, size);
    const expected = allReduceInStatedOrder(inputs, add, order === 'memory');
    for (const delays of [
      [0, 15, 30],
      [30, 0, 15],
      [15, 30, 0],
    ]) {
      await each(groups, async (group, rank) => {
        const buffer = inputs[rank].slice();
        await new Promise((resolve) => setTimeout(resolve, delays[rank]));
        await group.allReduce(buffer);
        assertSameBits(buffer, expected, `${size} elements, ranks late by ${delays} ms`);
      });
    }
  }
}

async function checkRunningAhead(groups: readonly ProcessGroup[]): Promise<void> {
  // Also more frames than a ZeroMQ socket takes before it makes a send wait for the event loop (512).
  const rounds = 700;
  let isRootDone = false;
  await each(groups, async (group, rank) => {
    // Small messages that the root would send without end if nobody held it back.
    if (rank > 0) await new Promise((resolve) => setTimeout(resolve, 50));
    if (rank > 0) assert.equal(isRootDone, false, 'the root waits for room');
    for (let round = 0; round < rounds; round++) {
      const value = Float32Array.of(rank === 0 ? round : -1);
      await group.broadcast(value, 0);
      assert.equal(value[0], round);
    }
    if (rank === 0) isRootDone = true;
  });
}

async function checkLongMessage(groups: readonly ProcessGroup[]): Promise<void> {
  await each(groups, async (group, rank) => {
    const buffer = new Float32Array(6_000_001).fill(rank + 1);
    const [first, last] = [Float32Array.of(1), Float32Array.of(2)];
    await Promise.all([group.allReduce(first), group.allReduce(buffer), group.allReduce(last)]);
    assert.ok(buffer.every((value) => value === 3));
    assert.deepEqual([first[0], last[0]], [2, 4]);
    await group.broadcast(buffer.fill(rank), 1);
    assert.ok(buffer.every((value) => value === 1));
  });
}

async function checkArguments(groups: readonly ProcessGroup[]): Promise<void> {
  const floats = (length: number) => new Float32Array(length);
  await assert.rejects(groups[0].allGather(floats(2), floats(3)), /allGather: 3 elements are not 2 parts of 2/);
  await assert.rejects(groups[0].reduceScatter(floats(3), floats(2)), /reduceScatter: 3 elements are not 2 parts of 2/);
  await assert.rejects(groups[0].broadcast(floats(1), 2), /broadcast: rank 2 is not one of 2 ranks/);
  await assert.rejects(groups[0].allGatherObject('x'.repeat(1 << 20)), /1048578 bytes of JSON are more than 1048576/);
  await each(groups, (group) => group.barrier());
}

interface Disagreement {
  readonly usual: (group: ProcessGroup) => Promise<unknown>;
  readonly odd: (group: ProcessGroup) => Promise<unknown>;
  readonly names: readonly [RegExp, RegExp];
}

const DISAGREEMENTS: readonly Disagreement[] = [
  {
    usual: (group) => group.barrier(),
    odd: (group) => group.allReduce(new Float32Array(4)),
    names: [/at barrier #1/, /at allReduce sum #1 of 4 elements/],
  },
  {
    usual: (group) => group.allReduce(new Float32Array(50_000)),
    odd: (group) => group.allReduce(new Float32Array(50_001)),
    names: [/at allReduce sum #1 of 50000 elements/, /at allReduce sum #1 of 50001 elements/],
  },
  {
    usual: (group) => group.allReduce(new Float32Array(50_000)),
    odd: (group) => group.allReduce(new Float32Array(5)),
    names: [/at allReduce sum #1 of 50000 elements/, /at allReduce sum #1 of 5 elements/],
  },
  {
    usual: (group) => group.allReduce(new Float32Array(5), 'sum'),
    odd: (group) => group.allReduce(new Float32Array(5), 'max'),
    names: [/at allReduce sum #1 of 5 elements/, /at allReduce max #1 of 5 elements/],
  },
  {
    usual: (group) => group.broadcast(new Float32Array(8), 0),
    odd: (group) => group.broadcast(new Uint8Array(8), 0),
    names: [/at broadcast #1 of 8 elements from rank 0/, /at broadcast #1 of 8 bytes from rank 0/],
  },
  {
    // The two roots notice only at the next call, since a root receives nothing.
    usual: (group) => group.broadcast(new Float32Array(8), 0).then(() => group.barrier()),
    odd: (group) => group.broadcast(new Float32Array(8), 2).then(() => group.barrier()),
    names: [
      /at broadcast #1 of 8 elements from rank [02]/,
      /at (broadcast #1 of 8 elements from rank [02]|barrier #2)/,
    ],
  },
];

async function checkDisagreement(groups: readonly ProcessGroup[], { usual, odd, names }: Disagreement): Promise<void> {
  await each(groups, (group) => group.barrier());
  const results = await Promise.allSettled(groups.map((group, rank) => (rank === 1 ? odd : usual)(group)));
  for (const [rank, result] of results.entries()) {
    if (result.status === 'fulfilled') {
      // A broadcast root has nothing to wait for, and learns it from the next call.
      await assert.rejects(groups[rank].barrier(), /ranks disagree/);
      continue;
    }
    const { message } = result.reason as Error;
    assert.match(message, /^ranks disagree: rank \d is at .*, rank \d at /);
    for (const name of names) assert.match(message, name);
    await assert.rejects(groups[rank].barrier(), (again) => again === result.reason, 'the first error stays');
  }
}

async function checkClosing(groups: readonly ProcessGroup[]): Promise<void> {
  await each(groups, (group) => group.barrier());
  const [own, queued, other] = [groups[0].barrier(), groups[0].barrier(), groups[1].barrier()];
  const ended = Promise.all([
    assert.rejects(own, /the process group is closed/),
    assert.rejects(queued, /the process group is closed/),
    assert.rejects(other, /rank (0 has left while rank 1|2 has left while rank 1|\d is at barrier)/),
  ]);
  await groups[0].close();
  await groups[2].close();
  await ended;
  await assert.rejects(groups[0].barrier(), /the process group is closed/);
}

function inputsFor(order: Order, worldSize: number, size: number): Float32Array[] {
  if (order !== 'machines') return randomInputs(worldSize, size);
  return Array.from({ length: worldSize }, (_, rank) => wholeNumbers(rank, size));
}

/** The same values for the same arguments, of magnitudes that make the order of additions visible. */
function randomInputs(worldSize: number, size: number): Float32Array[] {
  return Array.from({ length: worldSize }, (_, rank) => {
    const random = new RandomStream('inputs', rank, size);
    return Float32Array.from({ length: size }, () => random.uniform(-1, 1) * 10 ** random.uniform(-3, 3));
  });
}

function each<T>(
  groups: readonly ProcessGroup[],
  work: (group: ProcessGroup, rank: number) => Promise<T>,
): Promise<T[]> {
  return Promise.all(groups.map((group, rank) => work(group, rank)));
}

function assertSameBits(found: Float32Array, expected: Float32Array, what: string): void {
  if (bytesOf(found).equals(bytesOf(expected))) return;
  const i = found.findIndex((value, k) => !Object.is(value, expected[k]));
  assert.fail(`${what}: element ${i} is ${found[i]} instead of ${expected[i]}`);
}

function bytesOf(values: Float32Array): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}
