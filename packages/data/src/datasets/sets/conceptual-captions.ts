// CC3M and CC12M in the original's form (reference 5.1): a numpy array of dicts, each with a path and a list of captions.
import { SlipError } from '@slip/core';
import { ItemList, NumpyArray, type PickleValue } from '@slip/pickle';
import { fileImage } from '../../images/image-source.js';
import { readNpyHeader } from '../npy-header.js';
import { pickledItems } from '../pickled-items.js';
import { type CaptionRecord, checkPlace, type SetReader, shown, wantFolder, watchMetadata } from '../set-reader.js';
import { joinRoot } from './paths.js';

/** @param pathKey under which the path relative to the root is: `image_id` in CC3M, `image_name` in CC12M */
export function conceptualCaptions(pathKey: string): SetReader {
  const wanted = `a numpy file of dicts with ${pathKey} and captions`;
  return {
    check: ({ root }) => wantFolder(root, '--root', 'the images are wanted there'),
    subject: ({ metadata }) => metadata,

    async *scan({ metadata }, scan) {
      await watchMetadata(metadata, wanted, scan);
      const { descr, dataOffset } = await readNpyHeader(metadata);
      if (descr !== '|O') {
        throw new SlipError(
          'data',
          `--metadata ${metadata} is an array of ${descr}, not of objects; ${wanted} is wanted`,
        );
      }
      let first = 0;
      const isArray = (whole: PickleValue) => whole instanceof NumpyArray && whole.data instanceof ItemList;
      for await (const items of pickledItems(metadata, dataOffset, scan, isArray)) {
        yield items.map((item, i) => toRecord(item, pathKey, `${metadata}: record ${first + i}`));
        first += items.length;
      }
    },

    images:
      ({ root }) =>
      (place) =>
        fileImage(joinRoot(root, place)),
  };
}

function toRecord(item: PickleValue, pathKey: string, where: string): CaptionRecord {
  const place = item instanceof Map ? item.get(pathKey) : undefined;
  const captions = item instanceof Map ? item.get('captions') : undefined;
  const isPath = typeof place === 'string' || typeof place === 'number' || typeof place === 'bigint';
  if (!isPath || !isTexts(captions)) {
    throw new SlipError(
      'data',
      `${where} needs ${pathKey} and a list of captions with at least one, found ${shown(item)}`,
    );
  }
  return [checkPlace(String(place), where), ...captions];
}

function isTexts(value: PickleValue | undefined): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((text) => typeof text === 'string');
}
