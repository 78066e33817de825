// What a pre-training set is: images with captions, by number. Its records are in an index file that all processes of a
// machine share; its images stay where they are.
import { SlipError } from '@slip/core';
import type { ImageSource } from '../images/image-source.js';
import { openCachedIndex } from '../index-file/cached-index.js';
import { DATASET_FORMATS, datasetFormat } from './formats.js';
import { READERS } from './readers.js';
import { BuildProgress } from './set-reader.js';

export interface CaptionedDataset {
  readonly name: string;
  readonly length: number;
  /** @param index in [0, length) */
  describe(index: number): Sample;
  close(): void;
}

export interface Sample {
  readonly image: ImageSource;
  /** At least one. */
  readonly captions: readonly string[];
}

export interface DatasetLocation {
  /** A name of `DATASET_FORMATS`. */
  readonly dataset: string;
  readonly root: string;
  /** Empty for sets without. */
  readonly metadata: string;
  /** Where indexes are kept; beside the metadata (or the root) unless given. */
  readonly indexDir?: string;
  /** Names of the columns of a table; found by their usual names unless given. */
  readonly csvImgKey?: string;
  readonly csvCaptionKey?: string;
}

/** Told of records read so far and the part of the work that is done, from 0 to 1. */
export type IndexingProgress = (records: number, part: number) => void;

export function publishedDatasetSize(dataset: string): number | undefined {
  return datasetFormat(dataset)?.publishedSize;
}

/**
 * The first time, the whole metadata is read and an index of it written; later this takes milliseconds.
 * @throws SlipError `data` naming the file, what was found and what to do; `config` for a set that is not known
 */
export async function openDataset(location: DatasetLocation, onIndexing?: IndexingProgress): Promise<CaptionedDataset> {
  const format = datasetFormat(location.dataset);
  if (format === undefined) {
    const names = DATASET_FORMATS.map(({ name }) => name).join(', ');
    throw new SlipError('config', `--dataset ${location.dataset} is not known; there are ${names}`);
  }
  if (format.metadata !== undefined && format.metadataIsOptional !== true && location.metadata === '') {
    throw new SlipError('data', `--dataset ${format.name} needs --metadata: ${format.metadata}`);
  }
  const reader = READERS[format.name];
  await reader.check?.(location);
  const index = await openCachedIndex({
    kind: format.name,
    subject: reader.subject(location),
    indexDir: location.indexDir,
    settings: reader.settings?.(location) ?? [],
    recordsPerBlock: 16,
    async build({ writer, watch }) {
      const progress = new BuildProgress(onIndexing);
      for await (const records of reader.scan(location, { watch, progress })) {
        for (const record of records) writer.add(record);
        await progress.add(records.length);
      }
      if (writer.count === 0) throw new SlipError('data', `${reader.subject(location)} has no samples`);
    },
  });
  const locate = reader.images(location);
  return {
    name: format.name,
    length: index.count,
    describe(sample) {
      const [place, ...captions] = index.read(sample);
      return { image: locate(place), captions };
    },
    close: () => index.close(),
  };
}
