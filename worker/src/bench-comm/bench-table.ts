// What bench-comm prints: the columns of nccl-tests, as text. Pure.
import type { BenchOperation } from '@slip/config';

export interface BenchResult {
  readonly op: BenchOperation;
  readonly worldSize: number;
  /** Of the whole buffer. */
  readonly bytes: number;
  /** Median of the rounds, each as long as on the slowest rank. */
  readonly timeMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  /** bytes / time */
  readonly algBandwidthGBps: number;
  /** What the links carry whatever the number of ranks: that of nccl-tests. */
  readonly busBandwidthGBps: number;
  /** Elements that were wrong on any rank in any round. */
  readonly errors: number;
}

export function benchHeader(op: BenchOperation, worldSize: number): string {
  return (
    `# ${op}, float32, ${worldSize} ranks; time is the median of the rounds, each as long as on the slowest rank\n` +
    `${'size'.padStart(8)} ${'bytes'.padStart(12)} ${'time ms'.padStart(11)} ${'min'.padStart(11)} ${'algbw GB/s'.padStart(11)} ` +
    `${'busbw GB/s'.padStart(11)} ${'errors'.padStart(7)}`
  );
}

export function benchLine({ bytes, timeMs, minMs, algBandwidthGBps, busBandwidthGBps, errors }: BenchResult): string {
  const columns = [
    sizeText(bytes).padStart(8),
    String(bytes).padStart(12),
    timeMs.toFixed(4).padStart(11),
    minMs.toFixed(4).padStart(11),
    algBandwidthGBps.toFixed(3).padStart(11),
    busBandwidthGBps.toFixed(3).padStart(11),
    String(errors).padStart(7),
  ];
  return columns.join(' ');
}

/** `1K`, `512M`; whole bytes where it is no round number. */
export function sizeText(bytes: number): string {
  for (const [unit, size] of [
    ['G', 1024 ** 3],
    ['M', 1024 ** 2],
    ['K', 1024],
  ] as const) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return String(bytes);
}
