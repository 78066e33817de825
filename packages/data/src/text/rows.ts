// Rows of a text file with columns: CSV as spreadsheets write it (RFC 4180), and tab-separated values. Read piece by piece.
import { createReadStream } from 'node:fs';
import { SlipError } from '@slip/core';

/** A caption and a path are far shorter; an unclosed quote must not swallow the file. */
const MAX_ROW_CHARACTERS = 1 << 20;
const BATCH = 1000;

export interface Row {
  readonly fields: readonly string[];
  /** 1 is the first. */
  readonly line: number;
}

/** Batches of rows; empty lines are passed over. @throws SlipError `data` naming file and line */
export async function* readRows(file: string, separator: ',' | '\t'): AsyncGenerator<Row[]> {
  let batch: Row[] = [];
  for await (const { text, line } of logicalLines(file, separator === ',')) {
    if (text === '') continue;
    batch.push({ fields: separator === ',' ? splitCsv(text) : text.split('\t').map(unquoteWhole), line });
    if (batch.length === BATCH) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}

/** Lines of any text file, without their ends. @throws SlipError `data` naming file and line */
export async function* readLines(file: string): AsyncGenerator<{ text: string; line: number }> {
  yield* logicalLines(file, false);
}

/** @param quoted a line feed between quotes belongs to the line */
async function* logicalLines(file: string, quoted: boolean): AsyncGenerator<{ text: string; line: number }> {
  let line = 0;
  let begun = 1;
  let held = '';
  let inside = false;
  for await (const text of physicalLines(file)) {
    line += 1;
    if (!inside) begun = line;
    held = inside ? `${held}\n${text}` : text;
    inside = quoted && endsInQuotes(text, inside);
    if (held.length > MAX_ROW_CHARACTERS) {
      throw new SlipError(
        'data',
        `${file}:${begun}: a row of more than ${MAX_ROW_CHARACTERS} characters; is a quote open?`,
      );
    }
    if (!inside) yield { text: held, line: begun };
  }
  if (inside) throw new SlipError('data', `${file}:${begun}: a quote is opened here and never closed`);
}

async function* physicalLines(file: string): AsyncGenerator<string> {
  let rest = '';
  let isFirst = true;
  try {
    for await (const piece of createReadStream(file, { encoding: 'utf8', highWaterMark: 1 << 20 })) {
      const text: string = rest + (isFirst ? (piece as string).replace(/^\ufeff/, '') : piece);
      isFirst = false;
      const lines = text.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line;
      if (rest.length > 16 * MAX_ROW_CHARACTERS) throw new SlipError('data', `${file} is no text: it has no line ends`);
    }
  } catch (error) {
    if (error instanceof SlipError) throw error;
    throw new SlipError('data', `${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  if (rest !== '') yield rest.endsWith('\r') ? rest.slice(0, -1) : rest;
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
