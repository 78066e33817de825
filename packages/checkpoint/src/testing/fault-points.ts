// For tests: lets a callback act before every file operation of node:fs/promises, to fail it or to end the process there.
// Patches the built-in module of this process; not for programs.
import fs, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import path from 'node:path';

/**
 * @param index counts the operations since `installFaultPoints`, from 1
 * @param halfDone does the first half of a write, for faults that tear it; undefined for other operations
 */
export type FaultPoint = (operation: string, index: number, halfDone?: () => Promise<void>) => Promise<void>;

const FUNCTIONS = ['mkdir', 'open', 'readdir', 'readFile', 'rename', 'rm', 'stat', 'symlink'] as const;
const METHODS = ['write', 'writeFile', 'sync', 'close'] as const;

/** @returns puts everything back and tells how many operations there were */
export async function installFaultPoints(before: FaultPoint): Promise<() => number> {
  const undo: (() => void)[] = [];
  let index = 0;
  const wrap = (target: object, name: string) => {
    const table = target as Record<string, (...parts: unknown[]) => Promise<unknown>>;
    const original = table[name];
    table[name] = async function (this: FileHandle, ...parts) {
      index += 1;
      const halfDone = name === 'write' ? () => writeHalf(this, original, parts) : undefined;
      await before(name, index, halfDone);
      return original.apply(this, parts);
    };
    undo.push(() => {
      table[name] = original;
    });
  };
  const probe = await fs.open(path.join(os.tmpdir()), 'r');
  const prototype = Object.getPrototypeOf(probe) as object;
  await probe.close();
  for (const name of METHODS) wrap(prototype, name);
  for (const name of FUNCTIONS) wrap(fs, name);
  syncBuiltinESMExports();
  return () => {
    for (const step of undo) step();
    syncBuiltinESMExports();
    return index;
  };
}

async function writeHalf(handle: FileHandle, write: (...parts: unknown[]) => Promise<unknown>, parts: unknown[]) {
  const [piece, begin, length] = parts as [Uint8Array, number, number];
  await write.call(handle, piece, begin, Math.floor(length / 2));
}
