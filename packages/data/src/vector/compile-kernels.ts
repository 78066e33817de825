// `npm run kernels -w @slip/data`: compiles pixel-kernels.wat into pixel-kernels-binary.ts. A tool of development: wabt is not
// installed with the product.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import openWabt from 'wabt';
import { expandMacros } from './expand-macros.js';

/** The text of pixel-kernels-binary.ts for this WebAssembly text. */
export async function compileKernels(wat: string): Promise<string> {
  const { parseWat } = await openWabt();
  const module = parseWat('pixel-kernels.wat', expandMacros(wat), { simd: true, threads: true });
  const lines =
    Buffer.from(module.toBinary({}).buffer)
      .toString('base64')
      .match(/.{1,112}/g) ?? [];
  return [
    '// Made from pixel-kernels.wat by `npm run kernels -w @slip/data`; change that file instead.',
    'export const PIXEL_KERNELS_BINARY =',
    ...lines.map((line, i) => `  '${line}'${i === lines.length - 1 ? ';' : ' +'}`),
    '',
  ].join('\n');
}

/** The file that this one was compiled from: sources lie beside `dist`. */
export function sourceFile(name: string): string {
  return path.resolve(import.meta.dirname, '../../src/vector', name);
}

if (process.argv[1] === import.meta.filename) {
  const wat = readFileSync(sourceFile('pixel-kernels.wat'), 'utf8');
  writeFileSync(sourceFile('pixel-kernels-binary.ts'), await compileKernels(wat));
}
