// YFCC15M (reference 5.1): a pickled list of (index, title, description); image 12345678 is 678.jpg in images/12/345.zip.
import path from 'node:path';
import { SlipError } from '@slip/core';
import { ItemList, type PickleValue } from '@slip/pickle';
import { ZipImages } from '../../archives/zip-images.js';
import { openZipIndex } from '../../archives/zip-index.js';
import { pickledItems } from '../pickled-items.js';
import { type CaptionRecord, type SetReader, shown, wantFolder, watchMetadata } from '../set-reader.js';

const WANTED = 'yfcc15m.pkl, as slip-data make-yfcc15m writes it,';

export const yfcc15m: SetReader = {
  check: ({ root }) =>
    wantFolder(path.join(root, 'images'), `--root ${root}`, 'YFCC keeps its archives there, as images/XX/YYY.zip'),
  subject: ({ metadata }) => metadata,

  async *scan({ metadata }, scan) {
    await watchMetadata(metadata, WANTED, scan);
    let first = 0;
    const isList = (whole: PickleValue) => whole instanceof ItemList;
    for await (const items of pickledItems(metadata, 0, scan, isList)) {
      yield items.map((item, i) => toRecord(item, metadata, first + i));
      first += items.length;
    }
  },

  images({ root, indexDir }) {
    const archives = path.join(root, 'images');
    const images = new ZipImages(openZipIndex(archives, indexDir, archiveNumber));
    return (place) => {
      const archive = path.join(archives, place.slice(0, 2), `${place.slice(2, 5)}.zip`);
      return images.image(archive, `${place.slice(5)}.jpg`);
    };
  },
};

/** All 100 x 1000 of them, by number. */
export function yfccArchives(): string[] {
  return Array.from({ length: 100_000 }, (_, number) => {
    const digits = String(number).padStart(5, '0');
    return path.join(digits.slice(0, 2), `${digits.slice(2)}.zip`);
  });
}

function archiveNumber(archive: string): number {
  return Number(archive.replace(/\D/g, ''));
}

function toRecord(item: PickleValue, metadata: string, number: number): CaptionRecord {
  const [index, title, description] = Array.isArray(item) ? item : [];
  const isIndex = typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < 1e8;
  if (!isIndex || typeof title !== 'string' || typeof description !== 'string') {
    throw new SlipError(
      'data',
      `${metadata}: record ${number} needs (index below 100000000, title, description), found ${shown(item)}; ` +
        `${WANTED} is wanted`,
    );
  }
  return [String(index).padStart(8, '0'), title, description];
}
