// The task bench-comm: one collective at many sizes, in the memory where the trainer keeps its gradients, every round checked.
import type { ProcessGroup } from '@slip/comms';
import type { BenchCommConfig, BenchOperation } from '@slip/config';
import { SlipError } from '@slip/core';
import { type BenchResult, benchHeader, benchLine } from './bench-table.js';

export interface BenchCommContext {
  readonly config: BenchCommConfig;
  readonly group: ProcessGroup;
  readonly print: (line: string) => void;
}

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;
/** Values repeat after so many elements; small whole numbers, so that sums of up to 2^15 ranks are exact in any order. */
const PERIOD = 509;
const WARM_UP_ROUNDS = 3;

/** @throws SlipError `internal` when a result is wrong, after the size that showed it */
export async function runBenchComm({ config, group, print }: BenchCommContext): Promise<void> {
  const buffer = await group.allocate(config.sizes.at(-1)! / FLOAT_BYTES);
  if (group.rank === 0 && !config.json) print(benchHeader(config.op, group.worldSize));
  for (const bytes of config.sizes) {
    const result = await measure(config, group, buffer, bytes);
    if (group.rank === 0) print(config.json ? JSON.stringify(result) : benchLine(result));
    if (result.errors > 0) throw new SlipError('internal', `${result.errors} wrong elements at ${bytes} bytes`);
  }
}

async function measure(
  { op, iterations }: BenchCommConfig,
  group: ProcessGroup,
  arena: Float32Array,
  bytes: number,
): Promise<BenchResult> {
  // Parts are equal, so what cannot be divided is left off, as nccl-tests does.
  const { worldSize } = group;
  const elements = Math.max(1, Math.floor(bytes / FLOAT_BYTES / worldSize)) * worldSize;
  const buffer = elements <= arena.length ? arena.subarray(0, elements) : new Float32Array(elements);
  const round = roundOf(op, group, buffer);
  const rounds = iterations > 0 ? iterations : roundsFor(elements * FLOAT_BYTES);
  const times = new Float32Array(rounds);
  let errors = 0;
  for (let i = -WARM_UP_ROUNDS; i < rounds; i++) {
    round.fill();
    await group.barrier();
    const startedAt = performance.now();
    await round.act();
    if (i >= 0) times[i] = performance.now() - startedAt;
    errors += round.countErrors();
  }
  // A collective takes as long as on the rank where it takes longest.
  await group.allReduce(times, 'max');
  const wrong = Float32Array.of(errors);
  await group.allReduce(wrong);
  return benchResult(op, worldSize, elements * FLOAT_BYTES, times, wrong[0]);
}

function benchResult(
  op: BenchOperation,
  worldSize: number,
  bytes: number,
  times: Float32Array,
  errors: number,
): BenchResult {
  const sorted = times.slice().sort();
  const timeMs = sorted[Math.floor(sorted.length / 2)];
  const algBandwidthGBps = bytes / timeMs / 1e6;
  const factor = { 'all-reduce': 2 * (worldSize - 1), broadcast: worldSize }[op as string] ?? worldSize - 1;
  return {
    ...{ op, bytes, timeMs, minMs: sorted[0], maxMs: sorted.at(-1)! },
    ...{ algBandwidthGBps, busBandwidthGBps: (algBandwidthGBps * factor) / worldSize, errors, worldSize },
  };
}

/** One round of an operation: inputs, the call, and the comparison with what must have come out. */
interface Round {
  fill(): void;
  act(): Promise<void>;
  countErrors(): number;
}

function roundOf(op: BenchOperation, group: ProcessGroup, buffer: Float32Array): Round {
  const { rank, worldSize } = group;
  const part = buffer.length / worldSize;
  const start = rank * part;
  const own = buffer.subarray(start, start + part);
  const all = patterns(worldSize);
  const sum = Float32Array.from({ length: PERIOD }, (_, i) => all.reduce((total, pattern) => total + pattern[i], 0));
  switch (op) {
    case 'all-reduce':
      return {
        fill: () => repeat(buffer, 0, all[rank]),
        act: () => group.allReduce(buffer),
        countErrors: () => countOther(buffer, 0, sum),
      };
    case 'reduce-scatter': {
      const output = new Float32Array(part);
      return {
        fill: () => repeat(buffer, 0, all[rank]),
        act: () => group.reduceScatter(buffer, output),
        countErrors: () => countOther(output, start, sum),
      };
    }
    case 'all-gather':
      return {
        fill: () => {
          buffer.fill(-1);
          repeat(own, start, all[rank]);
        },
        act: () => group.allGather(own, buffer),
        countErrors: () => {
          let errors = 0;
          for (let r = 0; r < worldSize; r++)
            errors += countOther(buffer.subarray(r * part, (r + 1) * part), r * part, all[r]);
          return errors;
        },
      };
    case 'broadcast':
      return {
        fill: () => repeat(buffer, 0, all[rank]),
        act: () => group.broadcast(buffer, 0),
        countErrors: () => countOther(buffer, 0, all[0]),
      };
    default:
      return op satisfies never;
  }
}

function patterns(worldSize: number): Float32Array[] {
  return Array.from({ length: worldSize }, (_, r) =>
    Float32Array.from({ length: PERIOD }, (_v, i) => (i * 7 + r * 31) % PERIOD),
  );
}

/** Fills `values`, whose first element has the number `start` in the whole buffer, with the repeated pattern. */
function repeat(values: Float32Array, start: number, pattern: Float32Array): void {
  const shifted = Float32Array.from({ length: PERIOD }, (_, i) => pattern[(start + i) % PERIOD]);
  const first = Math.min(PERIOD, values.length);
  values.set(shifted.subarray(0, first));
  for (let done = first; done < values.length; done *= 2)
    values.copyWithin(done, 0, Math.min(done, values.length - done));
}

function countOther(values: Float32Array, start: number, pattern: Float32Array): number {
  let errors = 0;
  let at = start % PERIOD;
  for (let i = 0; i < values.length; i++) {
    if (values[i] !== pattern[at]) errors += 1;
    at = at + 1 === PERIOD ? 0 : at + 1;
  }
  return errors;
}

/** Many rounds of small messages, few of large ones. */
function roundsFor(bytes: number): number {
  if (bytes <= 64 * 1024) return 200;
  return bytes <= 4 << 20 ? 40 : bytes <= 64 << 20 ? 12 : 6;
}
