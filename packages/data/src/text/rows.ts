// Rows of a text file with columns: CSV as spreadsheets write it (RFC 4180), and tab-separated values. Read piece by piece.
import { createReadStream } from 'node:fs';
import { SlipError } from '@slip/core';

/** A caption and a path are far shorter; an unclosed quote must not swallow the file. */
const MAX_ROW_CHARACTERS = 1 << 20;
const PIECE_BYTES = 1 << 18;

export interface Row {
  readonly fields: readonly string[];
  /** 1 is the first. */
  readonly line: number;
}

/** Batches of rows; empty lines are passed over. @throws SlipError `data` naming file and line */
export async function* readRows(file: string, separator: ',' | '\t'): AsyncGenerator<Row[]> {
  const isCsv = separator === ',';
  for await (const lines of isCsv ? joinQuoted(file, readLines(file)) : readLines(file)) {
    const filled = lines.filter(({ text }) => text !== '');
    if (filled.length === 0) continue;
    yield filled.map(({ text, line }) => ({
      fields: isCsv ? splitCsv(text) : text.split('\t').map(unquoteWhole),
      line,
    }));
  }
}

export interface Line {
  readonly text: string;
  /** 1 is the first. */
  readonly line: number;
}

/** Batches of lines of any text file, without their ends. @throws SlipError `data` naming file and line */
export async function* readLines(file: string): AsyncGenerator<Line[]> {
  let rest = '';
  let line = 0;
  const number = (text: string): Line => ({ text: text.endsWith('\r') ? text.slice(0, -1) : text, line: ++line });
  try {
    for await (const piece of createReadStream(file, { encoding: 'utf8', highWaterMark: PIECE_BYTES })) {
      const lines = (rest + (piece as string)).split('\n');
      if (line === 0) lines[0] = lines[0].replace(/^\ufeff/, '');
      rest = lines.pop() ?? '';
      if (rest.length > MAX_ROW_CHARACTERS) throw tooLong(file, line + lines.length + 1);
      if (lines.length > 0) yield lines.map(number);
    }
  } catch (error) {
    if (error instanceof SlipError) throw error;
    throw new SlipError('data', `${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  if (rest !== '') yield [number(rest)];
}

/** A line feed between quotes belongs to the row. */
async function* joinQuoted(file: string, batches: AsyncIterable<Line[]>): AsyncGenerator<Line[]> {
  let begun: Line | undefined;
  for await (const lines of batches) {
    const whole: Line[] = [];
    for (const line of lines) {
      const isOpen = endsInQuotes(line.text, begun !== undefined);
      const joined: Line = begun === undefined ? line : { text: `${begun.text}\n${line.text}`, line: begun.line };
      if (joined.text.length > MAX_ROW_CHARACTERS) throw tooLong(file, joined.line);
      begun = isOpen ? joined : undefined;
      if (!isOpen) whole.push(joined);
    }
    if (whole.length > 0) yield whole;
  }
  if (begun !== undefined)
    throw new SlipError('data', `${file}:${begun.line}: a quote is opened here and never closed`);
}

function tooLong(file: string, line: number): SlipError {
  return new SlipError(
    'data',
    `${file}:${line}: a row of more than ${MAX_ROW_CHARACTERS} characters; is a quote open, or is it no text?`,
  );
}

/** Quotes count where a field begins; elsewhere they are characters like any other. */
function endsInQuotes(line: string, startsInside: boolean): boolean {
  if (!startsInside && !line.includes('"')) return false;
  let inside = startsInside;
  let at = 0;
  for (;;) {
    if (!inside && line[at] === '"') {
      inside = true;
      at += 1;
    }
    if (inside) {
      at = closingQuote(line, at);
      if (at < 0) return true;
      inside = false;
    }
    at = line.indexOf(',', at) + 1;
    if (at === 0) return false;
  }
}

/** Where it goes on behind the quote that ends a field; negative when none does. Two quotes are one that is meant. */
function closingQuote(line: string, from: number): number {
  for (let at = line.indexOf('"', from); at >= 0; at = line.indexOf('"', at + 2)) {
    if (line[at + 1] !== '"') return at + 1;
  }
  return -1;
}

function splitCsv(text: string): string[] {
  if (!text.includes('"')) return text.split(',');
  const fields: string[] = [];
  for (let at = 0; ; ) {
    const isQuoted = text[at] === '"';
    const close = isQuoted ? closingQuote(text, at + 1) : at;
    const comma = text.indexOf(',', close);
    const end = comma < 0 ? text.length : comma;
    fields.push(
      isQuoted ? text.slice(at + 1, close - 1).replaceAll('""', '"') + text.slice(close, end) : text.slice(at, end),
    );
    if (comma < 0) return fields;
    at = comma + 1;
  }
}

/** Tab-separated values know no quotes, but programs that write both kinds put some fields into them. */
function unquoteWhole(field: string): string {
  const isQuoted = field.length > 1 && field.startsWith('"') && field.endsWith('"');
  const inner = isQuoted ? field.slice(1, -1) : '';
  return isQuoted && !inner.replaceAll('""', '').includes('"') ? inner.replaceAll('""', '"') : field;
}
