// YFCC15M's metadata from what is published (reference 5.2): which images were downloaded, OpenAI's list of captioned ones,
// and the 100 million lines of YFCC100M. Made as the original's make_dataset.py makes it, without holding any of it.
import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';
import { python } from '@slip/pickle';
import { readNpyHeader } from '../datasets/npy-header.js';
import { readLines } from '../text/rows.js';
import { WHITE_SPACE } from '../tokenizer/clean-text.js';
import { writePickledList } from './npy-objects.js';

export interface MakeYfccOptions {
  /** flickr_unique_ids.npy: line numbers of the images that are there. */
  readonly ids: string;
  /** yfcc100m_subset_data.tsv of OpenAI. */
  readonly subset: string;
  /** yfcc100m_dataset.txt. */
  readonly dataset: string;
  /** Folder for yfcc15m.pkl and yfcc100m.pkl. */
  readonly output: string;
  /** Told of bytes of the dataset file read, and in all. */
  readonly progress: (done: number, total: number) => void;
}

export interface MakeYfccSummary {
  readonly captioned: number;
  readonly images: number;
}

/** Line numbers of YFCC100M are below this. */
const MAX_LINES = 2 ** 28;
const TITLE = 8;
const DESCRIPTION = 9;
const TAGS = /<a[^\n]*?>|<\/a>|<b>|<\/b>|<i>|<\/i>/g;
const LINKS = new RegExp(`http[^${WHITE_SPACE}]+|www[^${WHITE_SPACE}]+`, 'gu');
const EDGES = new RegExp(`^[${WHITE_SPACE}]+|[${WHITE_SPACE}]+$`, 'gu');

/** @throws SlipError `data` naming file and line */
export async function makeYfcc15m(options: MakeYfccOptions): Promise<MakeYfccSummary> {
  const available = await readIds(options.ids);
  const wanted = await readSubset(options.subset);
  const { size: total } = await stat(options.dataset).catch((error: Error) => {
    throw new SlipError('data', `${options.dataset} cannot be read: ${error.message}; yfcc100m_dataset.txt is wanted`);
  });
  let done = 0;
  let images = 0;
  const captioned = await writePickledList(path.join(options.output, 'yfcc15m.pkl'), async (addCaptioned) => {
    images = await writePickledList(path.join(options.output, 'yfcc100m.pkl'), async (addImage) => {
      for await (const lines of readLines(options.dataset)) {
        for (const { text, line } of lines) {
          done += Buffer.byteLength(text) + 1;
          const number = lineNumber(text, options.dataset, line);
          if (!available.has(number)) continue;
          await addImage(number);
          if (!wanted.has(number)) continue;
          const fields = text.replace(EDGES, '').split('\t');
          if (fields.length <= DESCRIPTION) {
            throw new SlipError('data', `${options.dataset}:${line}: ${fields.length} columns instead of at least 10`);
          }
          await addCaptioned(python.tuple(number, cleanYfccText(fields[TITLE]), cleanYfccText(fields[DESCRIPTION])));
        }
        options.progress(done, total);
      }
    });
  });
  return { captioned, images };
}

/** URL-decoded, then `+` to spaces, then without tags and links: the original's order, a literal plus included. */
export function cleanYfccText(field: string): string {
  return unquote(field).replaceAll('+', ' ').replace(TAGS, '').replace(LINKS, '');
}

/** Python's `urllib.parse.unquote`: what is beyond ASCII stays, what is no escape stays, bad UTF-8 is replaced. */
function unquote(text: string): string {
  if (!text.includes('%')) return text;
  return text.replace(/[\0-\x7f]+/g, (run) => {
    const bytes: number[] = [];
    for (let i = 0; i < run.length; i++) {
      const digits = run[i] === '%' ? run.slice(i + 1, i + 3) : '';
      const isEscape = /^[0-9a-fA-F]{2}$/.test(digits);
      bytes.push(isEscape ? Number.parseInt(digits, 16) : run.charCodeAt(i));
      if (isEscape) i += 2;
    }
    return Buffer.from(bytes).toString('utf8');
  });
}

/** A set of numbers below 2^28, as bits. */
class NumberSet {
  readonly #bits = new Uint8Array(MAX_LINES / 8);

  add(number: number): void {
    this.#bits[number >> 3] |= 1 << (number & 7);
  }

  has(number: number): boolean {
    return (this.#bits[number >> 3] & (1 << (number & 7))) !== 0;
  }
}

async function readIds(file: string): Promise<NumberSet> {
  const { descr, dataOffset } = await readNpyHeader(file);
  const bytes = /^[<|][iu]([48])$/.exec(descr)?.[1];
  if (bytes === undefined) throw new SlipError('data', `${file} is an array of ${descr}; whole numbers are wanted`);
  const size = Number(bytes);
  const ids = new NumberSet();
  const handle = await open(file, 'r');
  try {
    const piece = Buffer.alloc(1 << 20);
    for (let at = dataOffset; ; ) {
      const { bytesRead } = await handle.read(piece, 0, piece.length, at);
      const whole = bytesRead - (bytesRead % size);
      if (whole === 0) return ids;
      for (let i = 0; i < whole; i += size) {
        const high = size === 8 ? piece.readUInt32LE(i + 4) : 0;
        const number = piece.readUInt32LE(i);
        if (high !== 0 || number >= MAX_LINES) {
          throw new SlipError('data', `${file} has the line number ${high * 2 ** 32 + number}, which YFCC100M has not`);
        }
        ids.add(number);
      }
      at += whole;
    }
  } finally {
    await handle.close();
  }
}

async function readSubset(file: string): Promise<NumberSet> {
  const wanted = new NumberSet();
  for await (const lines of readLines(file)) {
    for (const { text, line } of lines) if (text !== '') wanted.add(lineNumber(text, file, line));
  }
  return wanted;
}

function lineNumber(text: string, file: string, line: number): number {
  const tab = text.indexOf('\t');
  const digits = (tab < 0 ? text : text.slice(0, tab)).replace(EDGES, '');
  const number = /^\d{1,9}$/.test(digits) ? Number(digits) : Number.NaN;
  if (!(number < MAX_LINES)) {
    const found = JSON.stringify(digits.slice(0, 40));
    throw new SlipError('data', `${file}:${line}: the first column is ${found}; a line number of YFCC100M is wanted`);
  }
  return number;
}
