// What an evaluation on many sets leaves: `zeroshot.json`, written after each set, from which a stopped one goes on, and the tables for
// people that are made of it.
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipError, writeFileAtomic } from '@slip/core';
import type { Metric } from '@slip/data';
import { publishedScores } from '@slip/weights';
import type { ClassificationFigures } from '../evaluation/classification-metrics.js';

export interface SetResult {
  /** What it was computed from; another one is not continued. */
  readonly key: string;
  readonly metric: Metric;
  /** In that metric, percent. */
  readonly value: number;
  /** Percent; of sets with two classes. */
  readonly auc?: number;
  readonly figures: ClassificationFigures;
  readonly seconds: number;
}

export interface ZeroShotResults {
  /** Of the weights: as they were named, their registered model, and a hash. */
  readonly weights: { readonly path: string; readonly model: string; readonly key: string };
  /** By name, in the order of evaluation. */
  readonly sets: Readonly<Record<string, SetResult>>;
  /** Sets of the catalogue that were not there. */
  readonly missing: readonly string[];
}

const FILE = 'zeroshot.json';

/** Results of the same weights that are there already. @throws SlipError `data` when the file is damaged */
export async function readResults(folder: string, weightsKey: string): Promise<Readonly<Record<string, SetResult>>> {
  const file = path.join(folder, FILE);
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return {};
  try {
    const { weights, sets } = JSON.parse(text) as ZeroShotResults;
    return weights.key === weightsKey ? sets : {};
  } catch (error) {
    throw new SlipError('data', `${file} is no file of results (${(error as Error).message}); remove it`, {
      cause: error,
    });
  }
}

/** `zeroshot.json` and `zeroshot.md`, both whole at any time. @throws SlipError `data` */
export async function writeResults(folder: string, results: ZeroShotResults): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    const document = { ...results, mean: meanOf(results), published: publishedFigures(results.weights) };
    await writeFileAtomic(path.join(folder, FILE), `${JSON.stringify(document, null, 1)}\n`);
    await writeFileAtomic(path.join(folder, 'zeroshot.md'), markdown(results));
  } catch (error) {
    throw new SlipError('data', `--output-dir ${folder} cannot be written: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Of the sets that are there, each in its own metric. */
export function meanOf({ sets }: ZeroShotResults): number {
  const values = Object.values(sets).map(({ value }) => value);
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** One line to be found by a script. */
export function summaryLine(results: ZeroShotResults): string {
  const figures = Object.entries(results.sets).map(([name, { value }]) => `${name} ${value.toFixed(1)}`);
  return `zeroshot * mean ${meanOf(results).toFixed(2)} over ${figures.length} sets: ${figures.join(', ')}`;
}

/** Columns aligned, for a terminal. */
export function textTable(results: ZeroShotResults): string {
  const [head, ...rows] = tableRows(results);
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column].length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, k) => (isText(k) ? cell.padEnd(widths[k]) : cell.padStart(widths[k])))
      .join('  ')
      .trimEnd();
  return [head, ...rows].map(line).join('\n');
}

export function markdown(results: ZeroShotResults): string {
  const [head, ...rows] = tableRows(results);
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, k) => (isText(k) ? '---' : '---:'));
  const missing = results.missing.length === 0 ? [] : ['', `Not there: ${results.missing.join(', ')}.`];
  return [
    `# Zero-shot: ${results.weights.model}`,
    '',
    `Weights: \`${results.weights.path}\`. Percent, each set in its metric. "Published" are the figures of the README of the ` +
      'original, which has them for ImageNet only.',
    '',
    ...[head, rule, ...rows].map(line),
    ...missing,
    '',
  ].join('\n');
}

function tableRows(results: ZeroShotResults): string[][] {
  const published = publishedFigures(results.weights);
  const rows = Object.entries(results.sets).map(([name, { metric, value, figures }]) => [
    name,
    value.toFixed(1),
    metric,
    figures.images.toLocaleString('en-US'),
    String(figures.classes),
    metric === 'roc-auc' ? '50.0' : figures.chance.toFixed(1),
    name === 'imagenet' && published.length > 0
      ? published.map(({ name: model, zeroShot }) => `${zeroShot.toFixed(1)} ${model}`).join(', ')
      : '-',
  ]);
  const mean = ['mean', meanOf(results).toFixed(1), '', '', '', '', '-'];
  return [
    ['set', 'ours', 'metric', 'images', 'classes', 'chance', 'published'],
    ...rows,
    ...(rows.length > 1 ? [mean] : []),
  ];
}

/** Columns with words. */
function isText(column: number): boolean {
  return column === 0 || column === 2 || column === 6;
}

/** On ImageNet; SimCLR has none. */
function publishedFigures({ path: file, model }: ZeroShotResults['weights']): { name: string; zeroShot: number }[] {
  return publishedScores(file, model).flatMap(({ name, zeroShot }) =>
    zeroShot === undefined ? [] : [{ name, zeroShot }],
  );
}
