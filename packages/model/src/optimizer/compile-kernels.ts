// `npm run kernels -w @slip/model`: compiles adamw-kernel.wat into adamw-kernel-binary.ts.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { compileWat } from '@slip/core/wat';

/** The text of adamw-kernel-binary.ts as it should be. */
export function compileKernels(): Promise<string> {
  return compileWat(
    'adamw-kernel',
    readFileSync(sourceFile('adamw-kernel.wat'), 'utf8'),
    'npm run kernels -w @slip/model',
  );
}

/** The file that this one was compiled from: sources lie beside `dist`. */
export function sourceFile(name: string): string {
  return path.resolve(import.meta.dirname, '../../src/optimizer', name);
}

if (process.argv[1] === import.meta.filename)
  writeFileSync(sourceFile('adamw-kernel-binary.ts'), await compileKernels());
