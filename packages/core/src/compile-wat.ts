// From WebAssembly text to a source file that carries the module. A tool of development: wabt is not installed with the product.
import { expandMacros } from './expand-macros.js';

/**
 * @param name of the file `<name>.wat` that holds `text`
 * @param command that makes the file anew, for its first line
 * @returns the text of `<name>-binary.ts`, which exports the module in base64
 */
export async function compileWat(name: string, text: string, command: string): Promise<string> {
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
