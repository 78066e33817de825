// RedCaps' annotations of all subreddits in one file (reference 5.3). Elements are carried over byte by byte, none is held.
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { SlipError, writeAtomically } from '@slip/core';
import { byCodePoint } from '../datasets/folder-tree.js';
import { jsonElements, parseElement } from '../text/json-elements.js';

export interface CombineOptions {
  /** Folder of the annotation files. */
  readonly input: string;
  readonly output: string;
  /** Told of bytes read, and in all. */
  readonly progress: (done: number, total: number) => void;
}

/**
 * Files are taken in the order of their names, so that the result is the same everywhere; the original takes the folder's.
 * @throws SlipError `data` naming file and byte
 */
export async function combineCaptions({
  input,
  output,
  progress,
}: CombineOptions): Promise<{ files: number; captions: number }> {
  const files = await listFiles(input, output);
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  let before = 0;
  const captions = await writeAtomically(output, async (out) => {
    let count = 0;
    await out.write(Buffer.from('['));
    for (const [i, file] of files.entries()) {
      for await (const elements of jsonElements(file, 'annotations')) {
        for (const element of elements) {
          if (count === 0) parseElement(file, element);
          await out.write(Buffer.from(count === 0 ? '' : ', '));
          await out.write(Buffer.from(element.bytes));
          count += 1;
          progress(before + element.offset, total);
        }
      }
      before += sizes[i];
    }
    await out.write(Buffer.from(']'));
    return count;
  });
  return { files: files.length, captions };
}

async function listFiles(input: string, output: string): Promise<string[]> {
  const names = await readdir(input).catch((error: Error) => {
    throw new SlipError('data', `--input ${input} cannot be read: ${error.message}`, { cause: error });
  });
  const isOutput = (name: string) => path.resolve(input, name) === path.resolve(output);
  const files = names.filter((name) => name.endsWith('json') && !isOutput(name)).sort(byCodePoint);
  if (files.length === 0)
    throw new SlipError('data', `--input ${input} has no .json files; RedCaps' annotations are wanted`);
  return files.map((name) => path.join(input, name));
}
