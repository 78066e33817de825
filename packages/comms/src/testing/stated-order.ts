// For tests: the sums that a process group has promised, added up plainly on one rank in the order that its contract states.
import { chooseAlgorithm } from '../algorithms.js';

export type Combine = (a: number, b: number) => number;

/** Float32 addition, then the rounding of the store. */
export const add: Combine = (a, b) => Math.fround(a + b);

/** What `allReduce` leaves on every rank. */
export function allReduceInStatedOrder(inputs: readonly Float32Array[], combine: Combine): Float32Array {
  return reduce(inputs, combine, (part) => part);
}

/** All parts of what `reduceScatter` gives to the ranks, one after another. */
export function reduceScatterInStatedOrder(inputs: readonly Float32Array[]): Float32Array {
  return reduce(inputs, add, (part) => part + 1);
}

function reduce(inputs: readonly Float32Array[], combine: Combine, firstRank: (part: number) => number): Float32Array {
  const worldSize = inputs.length;
  const { length } = inputs[0];
  const isDirect = chooseAlgorithm(length, worldSize) === 'direct';
  const result = new Float32Array(length);
  for (let part = 0; part < worldSize; part++) {
    const first = isDirect ? 0 : firstRank(part);
    const end = Math.floor((length * (part + 1)) / worldSize);
    for (let i = Math.floor((length * part) / worldSize); i < end; i++) {
      let value = inputs[first % worldSize][i];
      for (let k = 1; k < worldSize; k++) value = combine(value, inputs[(first + k) % worldSize][i]);
      result[i] = value;
    }
  }
  return result;
}
