// The directories of many zip archives in one index file, so that an image is found without reading its archive's own. Made
// on request (`slip-data index`); ZipImages notices an archive that is not as it says.
import path from 'node:path';
import type { ZipEntry } from '@slip/core';
import { withFile } from '../images/image-source.js';
import { indexFolders, indexName, openCachedIndex } from '../index-file/cached-index.js';
import { IndexReader } from '../index-file/index-reader.js';
import { readEntries, type ZipDirectory } from './zip-images.js';

const KIND = 'zip-directories';
const AHEAD = 16;

export interface ZipIndexSummary {
  readonly archives: number;
  readonly images: number;
  /** Archives that are not there. */
  readonly missing: number;
  /** What is wrong with archives that cannot be read, the first ones. */
  readonly damaged: readonly string[];
}

/**
 * @param folder of the archives
 * @param archives their paths in it; an archive's number is its position
 * @throws SlipError `data` when the index cannot be written
 */
export async function buildZipIndex(
  folder: string,
  archives: readonly string[],
  indexDir: string | undefined,
  onProgress: (done: number) => void,
): Promise<ZipIndexSummary> {
  const summary = { archives: 0, images: 0, missing: 0, damaged: [] as string[] };
  const look = async (archive: string): Promise<readonly ZipEntry[]> => {
    const file = path.join(folder, archive);
    try {
      const entries = await withFile(file, file, (handle) => readEntries(file, handle));
      summary.archives += 1;
      summary.images += entries.length;
      return entries;
    } catch (error) {
      const isMissing = ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
      if (isMissing) summary.missing += 1;
      else summary.damaged.push((error as Error).message);
      return [];
    }
  };
  const index = await openCachedIndex({
    ...plan(folder, indexDir),
    settings: [],
    recordsPerBlock: 1,
    remake: true,
    async build({ writer }) {
      const coming = archives.slice(0, AHEAD).map(look);
      for (let number = 0; number < archives.length; number++) {
        const entries = await (coming.shift() as Promise<readonly ZipEntry[]>);
        if (number + AHEAD < archives.length) coming.push(look(archives[number + AHEAD]));
        writer.add([archives[number], entries.map(writeEntry).join('')]);
        onProgress(number + 1);
      }
    },
  });
  index.close();
  return summary;
}

/** Directories by file, where there is an index of them. @param numberOf the archive's number by its path in the folder */
export function openZipIndex(
  folder: string,
  indexDir: string | undefined,
  numberOf: (archive: string) => number,
): (file: string) => ZipDirectory | undefined {
  const names = indexFolders(plan(folder, indexDir)).map((place) =>
    path.join(place, indexName({ ...plan(folder, indexDir), settings: [] })),
  );
  const index = names.map((name) => IndexReader.tryOpen(name)).find((reader) => reader !== undefined);
  return (file) => {
    if (index?.header.kind !== KIND) return undefined;
    const archive = path.relative(folder, file);
    const number = numberOf(archive);
    if (!(number >= 0 && number < index.count)) return undefined;
    const [known, members] = index.read(number);
    return known === archive ? { get: (name) => findEntry(members, name) } : undefined;
  };
}

function plan(folder: string, indexDir: string | undefined) {
  return { kind: KIND, subject: folder, indexDir };
}

/** Begins and ends with a line feed, so that a name is found between one and a tab. */
function writeEntry({ name, method, crc32, storedBytes, sizeBytes, headerOffset }: ZipEntry): string {
  return /[\t\n]/.test(name) ? '' : `\n${[name, method, crc32, storedBytes, sizeBytes, headerOffset].join('\t')}\n`;
}

function findEntry(members: string, name: string): ZipEntry | undefined {
  const at = members.indexOf(`\n${name}\t`);
  if (at < 0) return undefined;
  const line = members.slice(at + 1, members.indexOf('\n', at + 1));
  const [method, crc32, storedBytes, sizeBytes, headerOffset] = line.split('\t').slice(1).map(Number);
  return { name, method, crc32, storedBytes, sizeBytes, headerOffset };
}
