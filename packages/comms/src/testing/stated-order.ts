// For tests: the sums that a process group has promised, added up plainly on one rank in the order that its contract states.
import { type Parts, partsOf, splitEvenly } from '../collectives.js';
import { chooseAlgorithm } from '../mesh-collectives.js';

export type Combine = (a: number, b: number) => number;

/** Float32 addition, then the rounding of the store. */
export const add: Combine = (a, b) => Math.fround(a + b);

/** Neighbours, then pairs of pairs. */
export function tree(values: readonly number[], combine: Combine): number {
  const level = [...values];
  for (let gap = 1; gap < level.length; gap *= 2) {
    for (let i = 0; i + gap < level.length; i += 2 * gap) level[i] = combine(level[i], level[i + gap]);
  }
  return level[0];
}

/** What `allReduce` leaves on every rank. `sharesMemory`: all ranks are on one machine and use it. */
export function allReduceInStatedOrder(
  inputs: readonly Float32Array[],
  combine: Combine,
  sharesMemory = false,
): Float32Array {
  return reduce(inputs, combine, sharesMemory, splitEvenly(inputs[0].length, inputs.length));
}

/** All parts of what `reduceScatter` gives to the ranks, one after another. */
export function reduceScatterInStatedOrder(inputs: readonly Float32Array[], sharesMemory = false): Float32Array {
  const parts = partsOf(inputs.map(() => inputs[0].length / inputs.length));
  return reduce(inputs, add, sharesMemory, parts);
}

function reduce(inputs: readonly Float32Array[], combine: Combine, sharesMemory: boolean, parts: Parts): Float32Array {
  const worldSize = inputs.length;
  const { length } = inputs[0];
  const isTree = sharesMemory || chooseAlgorithm(length, worldSize) === 'direct';
  const result = new Float32Array(length);
  for (const [part, [start, end]] of parts.entries()) {
    for (let i = start; i < end; i++) {
      const around = Array.from({ length: worldSize }, (_, k) => inputs[(part + 1 + k) % worldSize][i]);
      result[i] = isTree
        ? tree(
            inputs.map((input) => input[i]),
            combine,
          )
        : around.reduce((a, b) => combine(a, b));
    }
  }
  return result;
}
