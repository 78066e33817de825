// For tests: collectives between executors of one process, summing in rank order, with parts of any length.
import type { StepCollectives } from '@slip/engine';

export function localCollectives(worldSize: number): StepCollectives[] {
  let parts: Float32Array[] = [];
  let resume: (() => void)[] = [];
  const exchange = async (rank: number, input: Float32Array): Promise<readonly Float32Array[]> => {
    const round = parts;
    round[rank] = input.slice();
    if (round.filter(Boolean).length < worldSize) {
      await new Promise<void>((resolve) => resume.push(resolve));
    } else {
      parts = [];
      const waiting = resume;
      resume = [];
      for (const go of waiting) go();
    }
    return round;
  };
  const sum = (all: readonly Float32Array[]) =>
    all.slice(1).reduce((total, part) => total.map((v, i) => v + part[i]), all[0]);
  return Array.from({ length: worldSize }, (_, rank) => ({
    async allGather(input, output) {
      let end = 0;
      for (const part of await exchange(rank, input)) {
        output.set(part, end);
        end += part.length;
      }
    },
    async reduceScatter(input, output, lengths) {
      const before = lengths?.slice(0, rank).reduce((total, length) => total + length, 0) ?? rank * output.length;
      output.set(sum(await exchange(rank, input)).subarray(before, before + output.length));
    },
    async allReduce(buffer) {
      buffer.set(sum(await exchange(rank, buffer)));
    },
  }));
}
