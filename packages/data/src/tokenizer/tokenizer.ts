// CLIP's byte-level BPE tokenizer, bit-exact with the reference (5.5).
import { cleanText, WHITE_SPACE } from './clean-text.js';
import { END_OF_TEXT, loadVocabulary, START_OF_TEXT, VOCAB_SIZE, type Vocabulary, WORD_END } from './vocabulary.js';

/** What becomes of a caption that is too long: `drop-eot` is what published weights were trained with (reference 8.1.2). */
export type Truncate = 'keep-eot' | 'drop-eot';

export interface TokenizeOptions {
  /** Length of the result; 77 for the registered models. */
  readonly contextLength?: number;
  readonly truncate?: Truncate;
}

const PIECES = new RegExp(
  `<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|\\p{L}+|\\p{N}|[^${WHITE_SPACE}\\p{L}\\p{N}]+`,
  'giu',
);
/** Captions repeat their words; this many pieces are remembered. */
const CACHED_PIECES = 50_000;

let shared: Tokenizer | undefined;

export class Tokenizer {
  static readonly vocabSize = VOCAB_SIZE;
  private readonly vocabulary: Vocabulary;
  private readonly cache = new Map<string, readonly number[]>();

  /** The tokenizer of this thread; the vocabulary is read once. */
  static load(): Tokenizer {
    shared ??= new Tokenizer(loadVocabulary());
    return shared;
  }

  private constructor(vocabulary: Vocabulary) {
    this.vocabulary = vocabulary;
  }

  /** `contextLength` ids: start, text, end, padded with 0. */
  tokenize(text: string, { contextLength = 77, truncate = 'keep-eot' }: TokenizeOptions = {}): Int32Array {
    const ids = [START_OF_TEXT, ...this.encode(text), END_OF_TEXT];
    const row = new Int32Array(contextLength);
    row.set(ids.slice(0, contextLength));
    if (ids.length > contextLength && truncate === 'keep-eot') row[contextLength - 1] = END_OF_TEXT;
    return row;
  }

  /** Ids of the text alone. */
  encode(text: string): number[] {
    const ids: number[] = [];
    for (const [piece] of cleanText(text).matchAll(PIECES)) ids.push(...this.encodePiece(piece));
    return ids;
  }

  /** Text of ids, start and end included where they occur; not the inverse of the clean-up. */
  decode(ids: Iterable<number>): string {
    const { symbols, standIns } = this.vocabulary;
    const byteOf = new Map(standIns.map((symbol, byte) => [symbol, byte]));
    let text = '';
    let bytes: number[] = [];
    const flush = () => {
      text += Buffer.from(bytes).toString('utf8');
      bytes = [];
    };
    for (const id of ids) {
      const symbol = symbols[id] ?? '';
      if (id >= START_OF_TEXT) {
        flush();
        text += symbol;
        continue;
      }
      const endsWord = symbol.endsWith(WORD_END);
      for (const character of endsWord ? symbol.slice(0, -WORD_END.length) : symbol) bytes.push(byteOf.get(character)!);
      if (endsWord) {
        flush();
        text += ' ';
      }
    }
    flush();
    return text;
  }

  private encodePiece(piece: string): readonly number[] {
    const known = this.cache.get(piece);
    if (known !== undefined) return known;
    const ids = this.merge(piece).map((symbol) => this.vocabulary.ids.get(symbol)!);
    if (this.cache.size >= CACHED_PIECES) this.cache.clear();
    this.cache.set(piece, ids);
    return ids;
  }

  /** Merges the lowest-ranked neighbours, everywhere they occur, until none is in the table. */
  private merge(piece: string): string[] {
    if (piece === '<|startoftext|>' || piece === '<|endoftext|>') return [piece];
    let symbols = Array.from(Buffer.from(piece, 'utf8'), (byte) => this.vocabulary.standIns[byte]);
    symbols[symbols.length - 1] += WORD_END;
    for (;;) {
      let best: string | undefined;
      let bestRank = Number.POSITIVE_INFINITY;
      for (let i = 0; i + 1 < symbols.length; i++) {
        const pair = `${symbols[i]} ${symbols[i + 1]}`;
        const rank = this.vocabulary.ranks.get(pair);
        if (rank !== undefined && rank < bestRank) [best, bestRank] = [pair, rank];
      }
      if (best === undefined) return symbols;
      const merged: string[] = [];
      for (let i = 0; i < symbols.length; i++) {
        if (i + 1 < symbols.length && `${symbols[i]} ${symbols[i + 1]}` === best)
          merged.push(symbols[i] + symbols[++i]);
        else merged.push(symbols[i]);
      }
      symbols = merged;
    }
  }
}
