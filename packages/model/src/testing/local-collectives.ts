// For tests: collectives between executors of one process, summing in rank order.
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
      (await exchange(rank, input)).forEach((part, r) => {
        output.set(part, r * part.length);
      });
    },
    async reduceScatter(input, output) {
      output.set(sum(await exchange(rank, input)).subarray(rank * output.length, (rank + 1) * output.length));
    },
    async allReduce(buffer) {
      buffer.set(sum(await exchange(rank, buffer)));
    },
  }));
}
