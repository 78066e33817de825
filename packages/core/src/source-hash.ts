// The hash of a folder of compiled code: for caches whose content depends on what that code does.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** SHA-256 of the names and contents of the JavaScript files in `folder` and its subfolders, tests left out. */
export function hashSources(folder: string): string {
  const files = readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.js') && !/\.(test|long)\.js$/.test(name))
    .sort();
  const hash = createHash('sha256');
  for (const name of files)
    hash
      .update(`${name}\0`)
      .update(readFileSync(path.join(folder, name)))
      .update('\0');
  return hash.digest('hex');
}
