// The classes of a downstream set in their order: what their folders are called, and the texts that stand for them. They are in
// `classes/<set>.txt`, a line each: `folder ~ other name = text | text`; without `=`, the text is the folder's name in words.
import { readFileSync } from 'node:fs';
import { DOWNSTREAM_SETS } from './sets.js';

export interface ListedClass {
  /** As sorting wants it. */
  readonly folder: string;
  /** Other names that it is known by. */
  readonly aliases: readonly string[];
  readonly texts: readonly string[];
}

const FOLDER = new URL('../../classes/', import.meta.url);
const read = new Map<string, readonly ListedClass[]>();

/** Undefined for a set that is not in the table. */
export function classList(set: string): readonly ListedClass[] | undefined {
  if (!DOWNSTREAM_SETS.some(({ name }) => name === set)) return undefined;
  const known = read.get(set);
  if (known !== undefined) return known;
  const classes = readFileSync(new URL(`${set}.txt`, FOLDER), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(parseClass);
  read.set(set, classes);
  return classes;
}

function parseClass(line: string): ListedClass {
  const [names, texts] = line.split(' = ');
  const [folder, ...aliases] = names.split(' ~ ');
  return { folder, aliases, texts: texts?.split(' | ') ?? [folder.replaceAll('_', ' ')] };
}
