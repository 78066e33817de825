// Help pages of many flags: sections of two columns, in plain characters. yargs lays out the small pages of the other commands; on
// these it measures every cell as if it held emoji, which takes longer than all else that --help does.

import type { FlagDefinition } from '@slip/config/flags';

export interface FlagGroup {
  readonly title: string;
  readonly flags: readonly FlagDefinition[];
}

export interface HelpPage {
  readonly usage: string;
  /** Command and what it does. */
  readonly examples: readonly (readonly [string, string])[];
  readonly epilogue: string;
  readonly groups: readonly FlagGroup[];
}

/** What stands left of a text, and the text. */
type Row = readonly [string, string];

const INDENT = 2;
const GAP = 2;

/** @param columns width of the page in characters */
export function renderHelp({ usage, examples, epilogue, groups }: HelpPage, columns: number): string {
  const sections = [...flagSections(groups)].map(([title, rows]) => renderSection(title, rows, columns));
  return [usage, ...sections, renderExamples(examples, columns), epilogue].join('\n\n');
}

/** Flags by the title that they carry, else that of their group; in the order of first appearance. */
function flagSections(groups: readonly FlagGroup[]): Map<string, Row[]> {
  const sections = new Map<string, Row[]>();
  for (const { title, flags } of groups) {
    for (const flag of flags) {
      if (flag.hidden === true) continue;
      const name = flag.group ?? title;
      sections.set(name, [...(sections.get(name) ?? []), [namesOf(flag), describe(flag)]]);
    }
  }
  return sections;
}

/** Single letters first, so that the long names stand in one column: `-n, --nproc-per-node, --nproc`. */
function namesOf({ name, alias = [] }: FlagDefinition): string {
  const letters = alias.filter(({ length }) => length === 1).map((letter) => `-${letter}`);
  const words = [name, ...alias.filter(({ length }) => length > 1)].map((word) => `--${word}`);
  return `${letters.length === 0 ? '    ' : ''}${[...letters, ...words].join(', ')}`;
}

function describe({ type, choices, description, default: value }: FlagDefinition): string {
  const kind = choices === undefined ? `[${type}]` : `[${choices.join('|')}]`;
  const isTold = value !== undefined && value !== '' && value !== false;
  return `${description}  ${kind}${isTold ? ` [default: ${Array.isArray(value) ? value.join(' ') : value}]` : ''}`;
}

/** Texts start in one column where names leave them half of the page, and beneath the name where it is too long for that. */
function renderSection(title: string, rows: readonly Row[], columns: number): string {
  const widest = Math.min(Math.max(...rows.map(([left]) => left.length)), Math.floor(columns / 2) - INDENT - GAP);
  const margin = ' '.repeat(INDENT + widest + GAP);
  const lines = rows.flatMap(([left, text]) => {
    const [first, ...rest] = wrapWords(text, columns - margin.length);
    const own = `${' '.repeat(INDENT)}${left}`;
    const begin = left.length > widest ? [own, margin + first] : [own.padEnd(margin.length) + first];
    return [...begin, ...rest.map((line) => margin + line)];
  });
  return [`${title}:`, ...lines].join('\n');
}

function renderExamples(examples: HelpPage['examples'], columns: number): string {
  const lines = examples.flatMap(([command, what]) => [
    `  ${command}`,
    ...wrapWords(what, columns - 6).map((line) => `      ${line}`),
  ]);
  return ['Examples:', ...lines].join('\n');
}

/** Lines of at most `width` characters; a longer word has a line of its own. */
function wrapWords(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line.trimEnd());
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
