// `npm run kernels -w @slip/data`: compiles pixel-kernels.wat into pixel-kernels-binary.ts.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { compileWat } from '@slip/core/wat';

/** The text of pixel-kernels-binary.ts as it should be. */
export function compileKernels(): Promise<string> {
  return compileWat(
    'pixel-kernels',
    readFileSync(sourceFile('pixel-kernels.wat'), 'utf8'),
    'npm run kernels -w @slip/data',
  );
}

/** The file that this one was compiled from: sources lie beside `dist`. */
export function sourceFile(name: string): string {
  return path.resolve(import.meta.dirname, '../../src/vector', name);
}

if (process.argv[1] === import.meta.filename)
  writeFileSync(sourceFile('pixel-kernels-binary.ts'), await compileKernels());
