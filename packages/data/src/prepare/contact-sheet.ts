// A picture of samples as the trainer sees them: for each, the views of the first epoch and the caption as tokens give it
// back. Made by the loader's own code, so what is wrong with it is wrong in training.
import { SlipError } from '@slip/core';
import sharp, { type OverlayOptions } from 'sharp';
import { type DatasetLocation, openDataset } from '../datasets/captioned-dataset.js';
import { BatchMaker, shapeOf } from '../loader/batch-maker.js';
import { arraysIn, createSlot, type View } from '../loader/batch-slot.js';
import { Tokenizer } from '../tokenizer/tokenizer.js';
import { END_OF_TEXT, START_OF_TEXT } from '../tokenizer/vocabulary.js';
import { IMAGE_MEAN, IMAGE_STD } from '../transforms/to-tensor.js';
import { chooseSamples } from './dataset-stats.js';

export interface SheetOptions {
  readonly location: DatasetLocation;
  /** .png or .jpg. */
  readonly output: string;
  readonly samples: number;
  readonly epoch: number;
  readonly seed: number;
  readonly imageSize: number;
}

const VIEWS: readonly View[] = ['image', 'aug1', 'aug2'];
const GAP = 4;
const TEXT_WIDTH = 420;

/** @returns the samples that are on it. @throws SlipError `data` for an unreadable one */
export async function writeContactSheet(options: SheetOptions): Promise<readonly number[]> {
  const { location, imageSize: size, seed } = options;
  const dataset = await openDataset(location);
  try {
    const samples = chooseSamples(seed, dataset.length, options.samples);
    const making = {
      views: [...VIEWS, 'tokens'],
      imageSize: size,
      contextLength: 77,
      seed,
      truncate: 'keep-eot',
      transforms: 'fast',
      badSamples: 'fail',
      cacheBytes: 0,
      maxRows: 1,
    } as const;
    const maker = new BatchMaker(dataset, making);
    const memory = createSlot(shapeOf(making));
    const layers: OverlayOptions[] = [];
    const width = VIEWS.length * (size + GAP) + TEXT_WIDTH;
    for (const [row, sample] of samples.entries()) {
      const top = row * (size + GAP);
      await maker.make(options.epoch, Uint32Array.of(sample), memory);
      const batch = arraysIn(memory, shapeOf(making), 1);
      for (const [column, view] of VIEWS.entries()) {
        const raw = { width: size, height: size, channels: 3 as const };
        layers.push({ input: toBytes(batch[view as 'image'] as Float32Array), raw, left: column * (size + GAP), top });
      }
      const heading = `${sample}: ${dataset.describe(sample).image.name.split('/').slice(-2).join('/')}`;
      const text = captionSvg(heading, readBack(batch.tokens as Int32Array), size);
      layers.push({ input: text, left: VIEWS.length * (size + GAP), top });
    }
    const create = { width, height: samples.length * (size + GAP) - GAP, channels: 3 as const, background: '#ffffff' };
    await sharp({ create, limitInputPixels: false }).composite(layers).toFile(options.output);
    return samples;
  } catch (error) {
    if (error instanceof SlipError) throw error;
    throw new SlipError('data', `--output ${options.output} cannot be written: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    dataset.close();
  }
}

/** [3, S, S] normalised to [S, S, 3] bytes. */
function toBytes(view: Float32Array): Buffer {
  const pixels = view.length / 3;
  const bytes = Buffer.alloc(view.length);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < pixels; i++) {
      const value = view[channel * pixels + i] * IMAGE_STD[channel] + IMAGE_MEAN[channel];
      bytes[3 * i + channel] = Math.max(0, Math.min(255, Math.round(255 * value)));
    }
  }
  return bytes;
}

function readBack(tokens: Int32Array): string {
  const end = tokens.indexOf(END_OF_TEXT);
  const text = [...tokens.subarray(0, end < 0 ? tokens.length : end)].filter((id) => id !== START_OF_TEXT);
  return Tokenizer.load().decode(text).trim();
}

function captionSvg(heading: string, caption: string, height: number): Buffer {
  const lines = wrap(caption, 52).slice(0, Math.max(1, Math.floor((height - 24) / 16)));
  const text = lines
    .map((line, i) => `<text x="8" y="${38 + 16 * i}" font-size="13">${escapeXml(line)}</text>`)
    .join('');
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${TEXT_WIDTH}" height="${height}" font-family="sans-serif">` +
      `<text x="8" y="16" font-size="11" fill="#888888">${escapeXml(heading)}</text>${text}</svg>`,
  );
}

function wrap(text: string, columns: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1];
    if (last !== '' && last.length + 1 + word.length > columns) lines.push(word.slice(0, columns));
    else lines[lines.length - 1] = last === '' ? word.slice(0, columns) : `${last} ${word}`;
  }
  return lines;
}

function escapeXml(text: string): string {
  const printable = [...text].filter((character) => character >= ' ' && !/[\ufffe\uffff\ud800-\udfff]/.test(character));
  return printable.join('').replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
