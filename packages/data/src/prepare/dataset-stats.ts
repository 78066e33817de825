// What a set looks like in numbers: captions of all samples, tokens and pictures of some.
import { RandomStream, SlipError } from '@slip/core';
import sharp from 'sharp';
import { type DatasetLocation, openDataset } from '../datasets/captioned-dataset.js';
import { Tokenizer } from '../tokenizer/tokenizer.js';

export interface StatsOptions {
  readonly location: DatasetLocation;
  /** Samples whose pictures and tokens are looked at, at random. */
  readonly pictures: number;
  readonly seed: number;
  readonly contextLength: number;
  readonly progress: (done: number, total: number) => void;
}

/** Of some numbers. */
export interface Spread {
  readonly mean: number;
  readonly median: number;
  readonly p95: number;
  readonly max: number;
}

export interface DatasetStats {
  readonly samples: number;
  readonly captions: number;
  readonly emptyCaptions: number;
  /** Characters of all captions. */
  readonly captionLength: Spread;
  /** Of the looked at. */
  readonly tokens: Spread;
  /** Part of the looked at captions that do not fit. */
  readonly tooLong: number;
  readonly looked: number;
  readonly unreadable: number;
  readonly shortSide: Spread;
  readonly fileBytes: Spread;
  readonly formats: Readonly<Record<string, number>>;
}

const MAX_LENGTH = 10_000;

/** @throws SlipError `data` when the set cannot be opened */
export async function datasetStats(options: StatsOptions): Promise<DatasetStats> {
  const dataset = await openDataset(options.location);
  try {
    const lengths = new Float64Array(MAX_LENGTH + 1);
    let captions = 0;
    let emptyCaptions = 0;
    for (let i = 0; i < dataset.length; i++) {
      for (const caption of dataset.describe(i).captions) {
        captions += 1;
        if (caption.trim() === '') emptyCaptions += 1;
        lengths[Math.min(MAX_LENGTH, caption.length)] += 1;
      }
      if (i % 5000 === 0) options.progress(i, dataset.length);
    }
    options.progress(dataset.length, dataset.length);
    const looked = chooseSamples(options.seed, dataset.length, options.pictures);
    const tokens: number[] = [];
    const sides: number[] = [];
    const sizes: number[] = [];
    const formats: Record<string, number> = {};
    for (const sample of looked) {
      const { image, captions: texts } = dataset.describe(sample);
      for (const text of texts) tokens.push(Tokenizer.load().encode(text).length + 2);
      try {
        const bytes = await image.bytes();
        const { width, height, format } = await sharp(bytes).metadata();
        sides.push(Math.min(width, height));
        sizes.push(bytes.length);
        formats[format] = (formats[format] ?? 0) + 1;
      } catch (error) {
        if (error instanceof SlipError && error.code !== 'data') throw error;
      }
    }
    return {
      samples: dataset.length,
      captions,
      emptyCaptions,
      captionLength: spreadOfCounts(lengths, captions),
      tokens: spread(tokens),
      tooLong: tokens.filter((count) => count > options.contextLength).length / Math.max(1, tokens.length),
      looked: looked.length,
      unreadable: looked.length - sides.length,
      shortSide: spread(sides),
      fileBytes: spread(sizes),
      formats,
    };
  } finally {
    dataset.close();
  }
}

/** Different ones, in ascending order. */
export function chooseSamples(seed: number, length: number, count: number): number[] {
  const stream = new RandomStream(seed, 'samples');
  const chosen = new Set<number>();
  while (chosen.size < Math.min(count, length)) chosen.add(stream.integer(length));
  return [...chosen].sort((a, b) => a - b);
}

function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
  const sum = sorted.reduce((total, value) => total + value, 0);
  return { mean: sum / Math.max(1, sorted.length), median: at(0.5), p95: at(0.95), max: at(1) };
}

function spreadOfCounts(counts: Float64Array, total: number): Spread {
  const at = (rank: number) => {
    let before = 0;
    return Math.max(
      0,
      counts.findIndex((count) => {
        before += count;
        return before > rank;
      }),
    );
  };
  const sum = counts.reduce((all, count, length) => all + count * length, 0);
  return {
    mean: sum / Math.max(1, total),
    median: at(Math.floor(total * 0.5)),
    p95: at(Math.floor(total * 0.95)),
    max: counts.findLastIndex((count) => count > 0),
  };
}
