// From WebAssembly text to a source file that carries the module. A tool of development: wabt is not installed with the product.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expandMacros } from './expand-macros.js';

/** The kernels of a package: `<name>.wat`, each with a `<name>-binary.ts` beside it that is made of it. */
export interface KernelFolder {
  /** The file as it is, and as it should be. */
  compare(name: string): Promise<{ readonly found: string; readonly made: string }>;
  /** Makes all files anew. */
  write(): Promise<void>;
}

/**
 * @param folder of the sources
 * @param workspace whose `npm run kernels` calls `write`
 */
export function kernelFolder(folder: string, workspace: string, names: readonly string[]): KernelFolder {
  const binaryOf = (name: string) => path.join(folder, `${name}-binary.ts`);
  const make = (name: string) =>
    compileWat(name, readFileSync(path.join(folder, `${name}.wat`), 'utf8'), `npm run kernels -w ${workspace}`);
  return {
    compare: async (name) => ({ found: readFileSync(binaryOf(name), 'utf8'), made: await make(name) }),
    async write() {
      for (const name of names) writeFileSync(binaryOf(name), await make(name));
    },
  };
}

/**
 * @param name of the file `<name>.wat` that holds `text`
 * @param command that makes the file anew, for its first line
 * @returns the text of `<name>-binary.ts`, which exports the module in base64
 */
async function compileWat(name: string, text: string, command: string): Promise<string> {
  const { default: openWabt } = await import('wabt');
  const { parseWat } = await openWabt();
  const { buffer } = parseWat(`${name}.wat`, expandMacros(text), { simd: true, threads: true }).toBinary({});
  const lines =
    Buffer.from(buffer)
      .toString('base64')
      .match(/.{1,112}/g) ?? [];
  return [
    `// Made from ${name}.wat by \`${command}\`; change that file instead.`,
    `export const ${name.replaceAll('-', '_').toUpperCase()}_BINARY =`,
    ...lines.map((line, i) => `  '${line}'${i === lines.length - 1 ? ';' : ' +'}`),
    '',
  ].join('\n');
}
