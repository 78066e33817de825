// Class folders of a set that are called otherwise than the catalogue wants are given the names that sort right.
import { readdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';
import { classOfFolder } from '../../downstream/check-classes.js';
import { classList } from '../../downstream/class-list.js';

/**
 * @param folder of one split
 * @returns how many were renamed
 * @throws SlipError `data` when two folders would get one name
 */
export async function renameClassFolders(set: string, folder: string): Promise<number> {
  const classes = classList(set)!;
  const classOf = classOfFolder(classes);
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: Error) => {
    throw new SlipError('data', `${folder} cannot be read: ${error.message}`, { cause: error });
  });
  const moves: [from: string, to: string][] = [];
  const names = new Map<string, string>();
  for (const { name } of entries.filter((entry) => entry.isDirectory() || entry.isSymbolicLink())) {
    const label = classOf(name);
    if (label === undefined) continue;
    const to = classes[label].folder;
    const other = names.get(to);
    if (other !== undefined)
      throw new SlipError('data', `${folder}: ${other} and ${name} are both folders of the class ${to}`);
    names.set(to, name);
    if (to !== name) moves.push([name, to]);
  }
  // By way of other names: a new name may be an old one of another class.
  for (const [from] of moves) await rename(path.join(folder, from), path.join(folder, `.renaming-${from}`));
  for (const [from, to] of moves) await rename(path.join(folder, `.renaming-${from}`), path.join(folder, to));
  return moves.length;
}
