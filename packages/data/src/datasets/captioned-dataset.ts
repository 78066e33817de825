// What a pre-training set is, and which reader opens which.
import { SlipError } from '@slip/core';
import { openCoco } from './coco.js';

export interface CaptionedDataset {
  readonly name: string;
  readonly length: number;
  /** @param index in [0, length) */
  describe(index: number): Sample;
}

export interface Sample {
  /** Path of the image file. */
  readonly file: string;
  /** At least one. */
  readonly captions: readonly string[];
}

export interface DatasetLocation {
  readonly dataset: string;
  readonly root: string;
  readonly metadata: string;
}

/** Samples of the published sets, for plans made where the files are not. */
const PUBLISHED_SIZES: Readonly<Record<string, number>> = { yfcc15m: 14_689_580, coco: 118_287 };

export function publishedDatasetSize(dataset: string): number | undefined {
  return PUBLISHED_SIZES[dataset];
}

/** @throws SlipError `data` naming the file, what was found and what to do; `unsupported` for a set without a reader */
export async function openDataset(location: DatasetLocation): Promise<CaptionedDataset> {
  if (location.dataset === 'coco') return openCoco(location.root, location.metadata);
  throw new SlipError(
    'unsupported',
    `--dataset ${location.dataset} cannot be read yet; coco can, and other image-caption sets in its layout`,
  );
}
