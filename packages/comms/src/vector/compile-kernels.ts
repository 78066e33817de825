// `npm run kernels -w @slip/comms`: compiles kernels.wat into kernels-binary.ts. A tool of development: wabt is not installed
// with the product.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import openWabt from 'wabt';

/** The text of kernels-binary.ts for this WebAssembly text. */
export async function compileKernels(wat: string): Promise<string> {
  const { parseWat } = await openWabt();
  const { buffer } = parseWat('kernels.wat', wat, { simd: true }).toBinary({});
  const lines =
    Buffer.from(buffer)
      .toString('base64')
      .match(/.{1,112}/g) ?? [];
  return [
    '// Made from kernels.wat by `npm run kernels -w @slip/comms`; change that file instead.',
    'export const KERNELS_BINARY =',
    ...lines.map((line, i) => `  '${line}'${i === lines.length - 1 ? ';' : ' +'}`),
    '',
  ].join('\n');
}

/** The file that this one was compiled from: sources lie beside `dist`. */
export function sourceFile(name: string): string {
  return path.resolve(import.meta.dirname, '../../src/vector', name);
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(sourceFile('kernels-binary.ts'), await compileKernels(readFileSync(sourceFile('kernels.wat'), 'utf8')));
}
