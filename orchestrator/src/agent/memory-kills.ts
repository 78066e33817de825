// Whether the kernel has ended processes of this machine because memory ran out: a worker killed meanwhile was most likely one.
import { readFileSync } from 'node:fs';

/** Since the machine was started, those of containers included; undefined where the kernel does not count them. */
export function countMemoryKills(file = '/proc/vmstat'): number | undefined {
  try {
    const [, count] = /^oom_kill (\d+)$/m.exec(readFileSync(file, 'utf8')) ?? [];
    return count === undefined ? undefined : Number(count);
  } catch {
    return undefined;
  }
}

export const MEMORY_KILL =
  'the kernel ended the worker because memory ran out; lower --batch-size (twice the --update-freq makes up for half of it), add ' +
  '--grad-checkpointing, or use more machines';
