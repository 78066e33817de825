// `npm run kernels -w @slip/comms`: compiles each NAME.wat into NAME-binary.ts.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { compileWat } from '@slip/core/wat';

export const KERNEL_FILES = ['kernels', 'matrix-kernels'] as const;

/** The text of NAME-binary.ts as it should be. */
export function compileKernels(name: (typeof KERNEL_FILES)[number]): Promise<string> {
  return compileWat(name, readFileSync(sourceFile(`${name}.wat`), 'utf8'), 'npm run kernels -w @slip/comms');
}

/** The file that this one was compiled from: sources lie beside `dist`. */
export function sourceFile(name: string): string {
  return path.resolve(import.meta.dirname, '../../src/vector', name);
}

if (process.argv[1] === import.meta.filename) {
  for (const name of KERNEL_FILES) writeFileSync(sourceFile(`${name}-binary.ts`), await compileKernels(name));
}
