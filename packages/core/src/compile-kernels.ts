// `npm run kernels -w @slip/core`: compiles random-kernels.wat into random-kernels-binary.ts.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { compileWat } from './compile-wat.js';

/** The text of random-kernels-binary.ts as it should be. */
export function compileKernels(): Promise<string> {
  return compileWat(
    'random-kernels',
    readFileSync(sourceFile('random-kernels.wat'), 'utf8'),
    'npm run kernels -w @slip/core',
  );
}

/** The file that this one was compiled from: sources lie beside `dist`. */
export function sourceFile(name: string): string {
  return path.resolve(import.meta.dirname, '../src', name);
}

if (process.argv[1] === import.meta.filename)
  writeFileSync(sourceFile('random-kernels-binary.ts'), await compileKernels());
