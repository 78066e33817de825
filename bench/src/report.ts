// Shows results: a table for people, JSON for programs, a dated Markdown page for docs/results. No measuring here.
import os from 'node:os';
import type { CaseResult } from './harness.js';
import type { Summary } from './statistics.js';

export function asTable(results: readonly CaseResult[]): string {
  const rows = [
    ['bench', 'case', 'measure', 'ours (min..max)', 'peer (min..max)', 'ratio'],
    ...results.map(({ bench, name, measure, ours, peer, ratio }) => [
      bench,
      name,
      `${measure.key} [${measure.unit}]`,
      spread(ours),
      peer === undefined ? 'missing' : spread(peer),
      ratio === undefined ? '-' : `${ratio.toFixed(2)}x`,
    ]),
  ];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function asMarkdown(results: readonly CaseResult[], date: string): string {
  const lines = results.map(
    ({ bench, name, measure, ours, peer, ratio }) =>
      `| ${bench} | ${name} | ${measure.key} [${measure.unit}] | ${spread(ours)} | ${peer === undefined ? 'missing' : spread(peer)} | ${ratio === undefined ? '-' : `${ratio.toFixed(2)}x`} |`,
  );
  return [
    `# Benchmarks of ${date}`,
    '',
    `Machine: ${machine()}. Ours and the peer ran in turns; medians, with the smallest and largest value; a ratio above 1 is ours ahead.`,
    '',
    '| bench | case | measure | ours | peer | ratio |',
    '|---|---|---|---|---|---|',
    ...lines,
    '',
  ].join('\n');
}

export function machine(): string {
  return `${os.cpus()[0]?.model.trim() ?? 'unknown processor'}, ${os.availableParallelism()} cores, ${(os.totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}`;
}

function spread({ median, min, max }: Summary): string {
  return `${median.toFixed(2)} (${min.toFixed(2)}..${max.toFixed(2)})`;
}
