// The downstream catalogue in the original's three JSON files: where a set lies, its labels, its caption templates.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';

export interface CatalogEntry {
  readonly name: string;
  /** Folder of the split that is evaluated. */
  readonly folder: string;
  /** For each class, in folder order, the texts that stand for it. */
  readonly labels: readonly (readonly string[])[];
  /** Captions with one `{}` for the label. */
  readonly templates: readonly string[];
}

export interface CatalogFiles {
  readonly catalog: string;
  readonly labels: string;
  readonly templates: string;
}

/** @throws SlipError `data` that names the file and what is wrong with it */
export async function readCatalogEntry(files: CatalogFiles, name: string): Promise<CatalogEntry> {
  for (const [flag, file] of Object.entries(files)) {
    if (file === '')
      throw new SlipError('data', `--${flag} is not given, so the validation set ${name} cannot be found`);
  }
  const entry = pick(await readJson(files.catalog), name, files.catalog);
  const { path: folder, type, test: split } = entry as { path?: unknown; type?: unknown; test?: unknown };
  if (type !== 'imagefolder') {
    throw new SlipError(
      'data',
      `${name} in ${files.catalog} has type ${JSON.stringify(type)}; only imagefolder can be read`,
    );
  }
  if (typeof folder !== 'string' || typeof split !== 'string') {
    throw new SlipError('data', `${name} in ${files.catalog} needs "path" and "test", found ${JSON.stringify(entry)}`);
  }
  const labels = pick(await readJson(files.labels), name, files.labels);
  const templates = pick(await readJson(files.templates), name, files.templates);
  if (!Array.isArray(labels) || labels.length === 0 || !isTextList(templates)) {
    throw new SlipError(
      'data',
      `${name} needs a list of labels in ${files.labels} and of templates in ${files.templates}`,
    );
  }
  return {
    name,
    folder: path.resolve(path.dirname(files.catalog), folder, split),
    labels: labels.map((label, k) => labelTexts(label, k, files.labels)),
    templates,
  };
}

function labelTexts(label: unknown, index: number, file: string): readonly string[] {
  if (typeof label === 'string') return [label];
  if (isTextList(label)) return label;
  throw new SlipError(
    'data',
    `label ${index} in ${file} is ${JSON.stringify(label)}; a text or a list of texts is wanted`,
  );
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string');
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new SlipError('data', `cannot read ${file}: ${(error as Error).message}`, { cause: error });
  }
}

function pick(document: unknown, name: string, file: string): unknown {
  const value = (document as Record<string, unknown> | null)?.[name];
  if (value === undefined) {
    const known = Object.keys((document as object | null) ?? {}).slice(0, 8);
    throw new SlipError('data', `${file} has no entry ${name}; it has ${known.join(', ') || 'none'} (--val-dataset)`);
  }
  return value;
}
