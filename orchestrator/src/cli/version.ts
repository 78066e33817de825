// What a command answers to --version.
import { readFileSync } from 'node:fs';

/** `slip-launch 0.1.0` */
export function versionOf(program: string): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return `${program} ${manifest.version}`;
}
