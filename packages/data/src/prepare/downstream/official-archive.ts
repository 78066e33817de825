// What an official archive says of its pictures, whatever form it says it in, and reading its text files.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';

/** A picture as the archive calls it and its class. */
export interface Listed {
  readonly split: string;
  /** Its class, by any name that is known. */
  readonly name: string;
  /** Path below the source. */
  readonly file: string;
}

export interface OfficialArchive {
  /** What has to be in the folder, for help and messages. */
  readonly holds: string;
  /** @param source folder that the archive was unpacked into */
  read(source: string): Promise<Listed[]>;
}

/** One picture a line. @throws SlipError `data` naming file and line that cannot be understood */
export async function fromFiles(
  source: string,
  splits: Readonly<Record<string, readonly string[]>>,
  parse: (line: string) => Omit<Listed, 'split'>,
): Promise<Listed[]> {
  const all: Listed[] = [];
  for (const [split, files] of Object.entries(splits)) {
    for (const file of files) {
      for (const [i, line] of (await linesOf(path.join(source, file))).entries()) {
        try {
          all.push({ split, ...parse(line) });
        } catch (error) {
          throw new SlipError(
            'data',
            `${path.join(source, file)}: line ${i + 1} is not understood: ${(error as Error).message}`,
          );
        }
      }
    }
  }
  return all;
}

/** Without empty ones and comments. */
export async function linesOf(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8');
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}
