// Whether the classes of a folder stand in the order of their texts. Positions decide which text a folder gets, so folders that sort
// differently would give wrong figures without any error. Pure.
import { SlipError } from '@slip/core';
import type { ListedClass } from './class-list.js';

const SHOWN = 4;

/**
 * @param found names of classes by label, as they were sorted
 * @param where the folder, for messages
 * @returns a warning where names are not known, so that their order cannot be checked
 * @throws SlipError `data` naming the folders that are missing, or stand where another one belongs, with the fix
 */
export function checkClasses(
  set: string,
  expected: readonly ListedClass[],
  found: readonly string[],
  where: string,
): string | undefined {
  const places = placesByName(expected);
  const known = found.map((name) => places.get(normal(name)));
  if (found.length !== expected.length) throw wrongCount(set, expected, found, known, where);
  if (isNumbered(expected) && isNumberRun(found)) return undefined;
  const moved = found.flatMap((name, i) => (known[i] !== undefined && known[i] !== i ? [{ name, at: i }] : []));
  if (moved.length > 0) {
    const list = moved
      .map(({ name, at }) => ({ name, folder: expected[known[at]!].folder }))
      .filter(({ name, folder }) => name !== folder)
      .map(({ name, folder }) => `${name} (rename to "${folder}")`);
    throw new SlipError(
      'data',
      `${where}: ${moved.length} of ${found.length} class folders of ${set} sort to another place than their class has: ` +
        `${few(list)}; slip-data prepare ${set} --rename renames them`,
    );
  }
  const strange = found.filter((_, i) => known[i] === undefined);
  if (strange.length === 0) return undefined;
  return (
    `${where}: ${strange.length} of ${found.length} class folders are not called as those of ${set} (${few(strange)}), ` +
    'so texts go to them by position, unchecked'
  );
}

/** The class each folder belongs to by its name, where that is known. */
export function classOfFolder(expected: readonly ListedClass[]): (folder: string) => number | undefined {
  const places = placesByName(expected);
  return (folder) => places.get(normal(folder));
}

/** Names that two classes have tell nothing and are left out. */
function placesByName(expected: readonly ListedClass[]): Map<string, number> {
  const places = new Map<string, number>();
  const ambiguous = new Set<string>();
  expected.forEach(({ folder, aliases, texts }, place) => {
    for (const name of new Set([folder, ...aliases, ...texts].map(normal))) {
      if (places.has(name)) ambiguous.add(name);
      places.set(name, place);
    }
  });
  for (const name of ambiguous) places.delete(name);
  return places;
}

/** Case, punctuation and leading zeros make no difference. */
function normal(name: string): string {
  const plain = name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
  return /^\d+$/.test(plain) ? String(Number(plain)) : plain;
}

function isNumbered(expected: readonly ListedClass[]): boolean {
  return expected.every(({ folder }) => /^\d+$/.test(folder));
}

/** 0, 1, 2 ... or 1, 2, 3 ..., in this order. */
function isNumberRun(found: readonly string[]): boolean {
  const first = Number(found[0]);
  return (first === 0 || first === 1) && found.every((name, i) => /^\d+$/.test(name) && Number(name) === first + i);
}

function wrongCount(
  set: string,
  expected: readonly ListedClass[],
  found: readonly string[],
  known: readonly (number | undefined)[],
  where: string,
): SlipError {
  const there = new Set(known);
  const missing = expected.flatMap(({ folder }, i) => (there.has(i) ? [] : [folder]));
  const strange = found.filter((_, i) => known[i] === undefined);
  const parts = [
    ...(missing.length > 0 && missing.length < expected.length ? [`missing: ${few(missing)}`] : []),
    ...(strange.length > 0 ? [`not among them: ${few(strange)}`] : []),
  ];
  return new SlipError(
    'data',
    `${where} has ${found.length} classes, ${set} has ${expected.length}${parts.map((part) => `; ${part}`).join('')}`,
  );
}

function few(names: readonly string[]): string {
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : '';
  return `${names.slice(0, SHOWN).join(', ')}${more}`;
}
