// A folder of features: matrices, the names of their rows, and what they were computed with.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipError, writeFileAtomic } from '@slip/core';
import { type FloatMatrix, readNpyMatrix } from '@slip/data';

/** `embedding.json`: what the features are. Rows are named in `images.txt` and `texts.txt`, a line each. */
export interface EmbeddingFacts {
  /** As it was given, and where that was. */
  readonly model: { readonly resume: string; readonly path: string; readonly name: string };
  readonly width: number;
  readonly truncate: 'keep-eot' | 'drop-eot';
  readonly images?: { readonly root: string; readonly rows: number; readonly key: string };
  readonly texts?: { readonly rows: number; readonly key: string };
}

export interface Embedded {
  readonly names: readonly string[];
  readonly features: FloatMatrix;
}

const FACTS = 'embedding.json';

/** @throws SlipError `data` for a name with a line break in it */
export async function writeNames(folder: string, kind: 'images' | 'texts', names: readonly string[]): Promise<void> {
  const broken = names.find((name) => /[\n\r]/.test(name));
  if (broken !== undefined) {
    throw new SlipError(
      'data',
      `the file name ${JSON.stringify(broken)} has a line break in it, so it cannot be a line of ${kind}.txt; rename it`,
    );
  }
  await writeFileAtomic(path.join(folder, `${kind}.txt`), names.map((name) => `${name}\n`).join(''));
}

export async function writeFacts(folder: string, facts: EmbeddingFacts): Promise<void> {
  await writeFileAtomic(path.join(folder, FACTS), `${JSON.stringify(facts, null, 1)}\n`);
}

/** @throws SlipError `data` where embed has not written one */
export async function readFacts(folder: string): Promise<EmbeddingFacts> {
  const file = path.join(folder, FACTS);
  try {
    return JSON.parse(await readFile(file, 'utf8')) as EmbeddingFacts;
  } catch (error) {
    throw new SlipError(
      'data',
      `${file} cannot be read: ${(error as Error).message}; a folder that slip-launch embed has finished is wanted`,
      { cause: error },
    );
  }
}

/** @returns undefined where the folder has no features of this kind. @throws SlipError `data` when files do not fit each other */
export async function readEmbedded(
  folder: string,
  facts: EmbeddingFacts,
  kind: 'images' | 'texts',
): Promise<Embedded | undefined> {
  if (facts[kind] === undefined) return undefined;
  const file = path.join(folder, kind === 'images' ? 'image_features.npy' : 'text_features.npy');
  const features = await readNpyMatrix(file);
  const names = linesOf(await readFile(path.join(folder, `${kind}.txt`), 'utf8'));
  if (features.rows !== names.length || features.width !== facts.width) {
    throw new SlipError(
      'data',
      `${file} has ${features.rows} rows of width ${features.width}, ${kind}.txt ${names.length} lines and ${FACTS} width ` +
        `${facts.width}; embed again`,
    );
  }
  return { names, features };
}

/** A last line without an end counts, an empty one after the last end does not. */
export function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}
