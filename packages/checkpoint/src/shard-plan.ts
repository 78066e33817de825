// Who writes which tensors of a checkpoint. Pure.
import { byteLengthOf, type WritableTensor } from './named-tensor.js';

/** Below this a file more costs more than it saves. */
const BYTES_PER_WRITER = 64 << 20;

/** How many of `ranks` write a checkpoint of so many bytes. @param wanted by the user; 0 for as many as pay */
export function countWriters(bytes: number, ranks: number, wanted: number): number {
  return Math.min(ranks, wanted > 0 ? wanted : Math.max(1, Math.ceil(bytes / BYTES_PER_WRITER)));
}

/**
 * Divides the tensors of a file among `count` writers. The same on all ranks.
 * @returns for each writer its tensors, in the order of `tensors`
 */
export function divideTensors<T extends WritableTensor>(tensors: readonly T[], count: number): T[][] {
  return divideBySize(tensors, count, byteLengthOf);
}

/**
 * Divides work into `count` shares: the largest first, each to the share that has least.
 * @returns for each share its items, in the order of `items`
 */
export function divideBySize<T>(items: readonly T[], count: number, bytesOf: (item: T) => number): T[][] {
  const sizes = items.map(bytesOf);
  const bySize = items.map((_, i) => i).sort((a, b) => sizes[b] - sizes[a] || a - b);
  const loads = new Array<number>(count).fill(0);
  const shareOf = new Array<number>(items.length);
  for (const i of bySize) {
    const least = loads.indexOf(Math.min(...loads));
    loads[least] += sizes[i];
    shareOf[i] = least;
  }
  return loads.map((_, share) => items.filter((_, i) => shareOf[i] === share));
}

/** `model.safetensors`, or `model-00001-of-00004.safetensors` as other tools name shards. */
export function shardName(file: string, index: number, count: number): string {
  if (count === 1) return `${file}.safetensors`;
  const digits = (value: number) => String(value).padStart(5, '0');
  return `${file}-${digits(index + 1)}-of-${digits(count)}.safetensors`;
}
