// Shows results: a table for people, JSON for programs, a dated Markdown page for docs/results. No measuring here.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import type { CaseResult, Measured } from './harness.js';
import type { Summary } from './statistics.js';

/** Whose versions decide ours. */
const LIBRARIES = ['onnxruntime-node', 'zeromq'];

const HEADER = ['bench', 'case', 'measure', 'ours (min..max)', 'peer', 'its (min..max)', 'ratio'];

export function asTable(results: readonly CaseResult[]): string {
  const rows = [HEADER, ...results.map(cells)];
  const widths = HEADER.map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** @param command that another can run to get the page */
export function asMarkdown({ results, versions, left }: Measured, date: string, command: string): string {
  const row = (texts: readonly string[]) => `| ${texts.join(' | ')} |`;
  return [
    `# Benchmarks of ${date}`,
    '',
    `    ${command}`,
    '',
    `Machine: ${machine()}. ${describeVersions(versions)}.`,
    'Ours and its peers ran in turns; medians, with the smallest and largest value; a ratio above 1 is ours ahead.',
    '',
    row(HEADER),
    row(HEADER.map(() => '---')),
    ...results.map((result) => row(cells(result))),
    ...(left.length === 0 ? [] : ['', 'Not measured:', '', ...left.map((line) => `- ${line}`)]),
    '',
  ].join('\n');
}

export function asJson(measured: Measured, date: string): string {
  return JSON.stringify({ date, machine: machine(), libraries: libraryVersions(), ...measured }, null, 1);
}

export function machine(): string {
  return `${os.cpus()[0]?.model.trim() ?? 'unknown processor'}, ${os.availableParallelism()} cores, ${(os.totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}`;
}

function cells({ bench, name, measure, ours, peer, theirs, ratio }: CaseResult): string[] {
  return [
    ...[bench, name, `${measure.key} [${measure.unit}]`, spread(ours), peer],
    theirs === undefined ? 'missing' : spread(theirs),
    ratio === undefined ? '-' : `${ratio.toFixed(2)}x`,
  ];
}

function describeVersions(versions: Readonly<Record<string, string>>): string {
  const named = { ...libraryVersions(), ...versions };
  return Object.entries(named)
    .filter(([, version]) => version !== 'this project')
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');
}

function libraryVersions(): Record<string, string> {
  const { resolve } = createRequire(import.meta.url);
  return Object.fromEntries(LIBRARIES.map((name) => [name, versionAbove(path.dirname(resolve(name)), name)]));
}

/** A package need not export its package.json. */
function versionAbove(folder: string, name: string): string {
  for (let place = folder; place !== path.dirname(place); place = path.dirname(place)) {
    try {
      const found = JSON.parse(readFileSync(path.join(place, 'package.json'), 'utf8'));
      if (found.name === name) return found.version;
    } catch {
      // Not in this folder: one above.
    }
  }
  return 'unknown';
}

function spread({ median, min, max, rounds }: Summary): string {
  return rounds === 1 ? median.toFixed(2) : `${median.toFixed(2)} (${min.toFixed(2)}..${max.toFixed(2)})`;
}
