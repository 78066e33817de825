// The texts that classes of a set are recognised by: its labels put into its templates. From the built-in lists, or the original's
// labels.json and templates.json.
import { readFile } from 'node:fs/promises';
import { SlipError } from '@slip/core';
import { classList } from './class-list.js';
import { TEMPLATES } from './templates.js';

export interface Prompts {
  /** For each class, in order, the texts that stand for it. */
  readonly labels: readonly (readonly string[])[];
  /** Captions with one `{}` for the label. */
  readonly templates: readonly string[];
}

/** Flags of the same names; empty for the built-in lists. */
export interface PromptFiles {
  readonly labels: string;
  readonly templates: string;
}

/** @throws SlipError `data` that names the file and what is wrong with it */
export async function readPrompts(files: PromptFiles, set: string): Promise<Prompts> {
  const labels =
    files.labels === ''
      ? classList(set)?.map(({ texts }) => texts)
      : labelsOf(pick(await readJson('labels', files.labels), set, files.labels), files.labels);
  const templates =
    files.templates === '' ? TEMPLATES[set] : pick(await readJson('templates', files.templates), set, files.templates);
  const [missing] = labels === undefined ? ['labels'] : templates === undefined ? ['templates'] : [];
  if (missing !== undefined)
    throw new SlipError(
      'data',
      `there are no built-in ${missing} for ${set}; give --${missing}, a JSON file with them`,
    );
  if (!isTextList(templates)) {
    throw new SlipError('data', `the templates of ${set} in ${files.templates} are no list of texts`);
  }
  const odd = templates.find((template) => template.split('{}').length !== 2);
  if (odd !== undefined)
    throw new SlipError(
      'data',
      `the template ${JSON.stringify(odd)} of ${set} in ${files.templates} has to have one {}`,
    );
  return { labels: labels!, templates };
}

/** Template by template, in each the synonyms of the label (reference 6.2). */
export function captionsOf(texts: readonly string[], templates: readonly string[]): string[] {
  return templates.flatMap((template) => texts.map((text) => template.replace('{}', () => text)));
}

function labelsOf(labels: unknown, file: string): readonly (readonly string[])[] {
  if (!Array.isArray(labels) || labels.length === 0)
    throw new SlipError('data', `${file} has ${JSON.stringify(labels)?.slice(0, 60)}; a list of labels is wanted`);
  return labels.map((label, index) => {
    if (typeof label === 'string') return [label];
    if (isTextList(label)) return label;
    throw new SlipError(
      'data',
      `label ${index} in ${file} is ${JSON.stringify(label)}; a text or a list of texts is wanted`,
    );
  });
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string');
}

async function readJson(flag: string, file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new SlipError('data', `--${flag}: cannot read ${file}: ${(error as Error).message}`, { cause: error });
  }
}

function pick(document: unknown, set: string, file: string): unknown {
  const value = (document as Record<string, unknown> | null)?.[set];
  if (value !== undefined) return value;
  const known = Object.keys((document as object | null) ?? {}).slice(0, 8);
  throw new SlipError('data', `${file} has no entry ${set}; it has ${known.join(', ') || 'none'}`);
}
