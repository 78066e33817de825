// For tests: collectives between executors of one process, and a run of one step on several ranks.

import type { StepCollectives } from '../collectives.js';
import { createOnnxExecutor } from '../execute/onnx-executor.js';
import type { StepArray, StepDefinition, StepExecutor } from '../step.js';

/** Collectives of each rank over shared arrays; sums in rank order. A call completes when every rank has made it. */
export function localCollectives(worldSize: number): { ranks: StepCollectives[]; calls: string[] } {
  const calls: string[] = [];
  const posted = new Map<number, Float32Array[]>();
  const waiting = new Map<number, Array<() => void>>();
  const numCalls = new Array<number>(worldSize).fill(0);

  const exchange = async (rank: number, kind: string, input: Float32Array): Promise<Float32Array[]> => {
    const call = numCalls[rank]!++;
    const key = `${kind}(${input.length})`;
    calls[call] ??= key;
    if (calls[call] !== key) throw new Error(`rank ${rank} calls ${key} where others call ${calls[call]}`);
    const parts = posted.get(call) ?? ([] as Float32Array[]);
    posted.set(call, parts);
    parts[rank] = input.slice();
    const arrived = waiting.get(call) ?? [];
    waiting.set(call, arrived);
    if (arrived.length === worldSize - 1) for (const resume of arrived) resume();
    else await new Promise<void>((resolve) => arrived.push(resolve));
    return parts;
  };
  const sum = (parts: readonly Float32Array[]) =>
    parts.reduce((total, part) => total.map((value, i) => value + part[i]!), new Float32Array(parts[0]!.length));

  const ranks = Array.from(
    { length: worldSize },
    (_, rank): StepCollectives => ({
      allGather: async (input, output) => {
        (await exchange(rank, 'allGather', input)).forEach((part, i) => {
          output.set(part, i * part.length);
        });
      },
      reduceScatter: async (input, output) => {
        const total = sum(await exchange(rank, 'reduceScatter', input));
        output.set(total.subarray(rank * output.length, (rank + 1) * output.length));
      },
      allReduce: async (buffer) => {
        buffer.set(sum(await exchange(rank, 'allReduce', buffer)));
      },
    }),
  );
  return { ranks, calls };
}

export interface RankResult {
  readonly executor: StepExecutor;
  output(name: string): StepArray;
}

/** Runs `step(rank)` on every rank at once, with `inputs(rank)`; results stay readable, sessions are closed. */
export async function runOnRanks(
  worldSize: number,
  step: (rank: number) => StepDefinition,
  inputs: (rank: number) => Record<string, ArrayLike<number>>,
): Promise<{ results: RankResult[]; calls: string[] }> {
  const { ranks, calls } = localCollectives(worldSize);
  const executors: StepExecutor[] = [];
  for (const [rank, collectives] of ranks.entries()) {
    executors.push(await createOnnxExecutor(step(rank), { rank, worldSize, threads: 1, collectives }));
  }
  executors.forEach((executor, rank) => {
    for (const [name, values] of Object.entries(inputs(rank))) executor.input(name).set(values);
  });
  await Promise.all(executors.map((executor) => executor.run()));
  const results = executors.map((executor) => ({ executor, output: (name: string) => executor.output(name) }));
  await Promise.all(executors.map((executor) => executor.close()));
  return { results, calls };
}
