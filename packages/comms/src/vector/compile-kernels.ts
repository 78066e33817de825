// `npm run kernels -w @slip/comms`: compiles each NAME.wat into NAME-binary.ts. A tool of development: wabt is not installed
// with the product.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import openWabt from 'wabt';

export const KERNEL_FILES = ['kernels', 'matrix-kernels'] as const;

/** The text of NAME-binary.ts for this WebAssembly text. */
export async function compileKernels(wat: string, name: (typeof KERNEL_FILES)[number] = 'kernels'): Promise<string> {
  const { parseWat } = await openWabt();
  const { buffer } = parseWat(`${name}.wat`, wat, { simd: true }).toBinary({});
  const lines =
    Buffer.from(buffer)
      .toString('base64')
      .match(/.{1,112}/g) ?? [];
  return [
    `// Made from ${name}.wat by \`npm run kernels -w @slip/comms\`; change that file instead.`,
    `export const ${name.replace('-', '_').toUpperCase()}_BINARY =`,
    ...lines.map((line, i) => `  '${line}'${i === lines.length - 1 ? ';' : ' +'}`),
    '',
  ].join('\n');
}

/** The file that this one was compiled from: sources lie beside `dist`. */
export function sourceFile(name: string): string {
  return path.resolve(import.meta.dirname, '../../src/vector', name);
}

if (process.argv[1] === import.meta.filename) {
  for (const name of KERNEL_FILES) {
    const wat = readFileSync(sourceFile(`${name}.wat`), 'utf8');
    writeFileSync(sourceFile(`${name}-binary.ts`), await compileKernels(wat, name));
  }
}
