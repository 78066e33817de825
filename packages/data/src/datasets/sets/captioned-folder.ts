// A folder tree of images with captions: in a file beside each image, or in one table for all (metadata.jsonl, .csv, .tsv as
// Hugging Face's image folders have it). Images without a caption are passed over.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';
import { fileImage } from '../../images/image-source.js';
import { CAPTION_EXTENSIONS, captionsIn } from '../../text/caption-text.js';
import { type Line, readLines } from '../../text/rows.js';
import { isImageName, type ListedFolder, walkFolders } from '../folder-tree.js';
import {
  type CaptionRecord,
  checkPlace,
  type Scan,
  type SetReader,
  shown,
  wantFolder,
  watchMetadata,
} from '../set-reader.js';
import { scanTable } from './delimited.js';
import { joinRoot } from './paths.js';

const AHEAD = 32;

export const captionedFolder: SetReader = {
  check: ({ root }) => wantFolder(root, '--root', 'the images are wanted there'),
  subject: ({ root, metadata }) => metadata || root,
  settings: ({ csvImgKey = '', csvCaptionKey = '' }) => [csvImgKey, csvCaptionKey],

  scan(location, scan) {
    const { root, metadata } = location;
    if (metadata === '') return scanTree(root, scan);
    if (metadata.endsWith('.csv')) return scanTable(location, ',', scan);
    if (metadata.endsWith('.tsv')) return scanTable(location, '\t', scan);
    if (/\.(jsonl|ndjson)$/.test(metadata)) return scanJsonLines(metadata, scan);
    throw new SlipError('data', `--metadata ${metadata} is neither .jsonl nor .csv nor .tsv`);
  },

  images:
    ({ root }) =>
    (place) =>
      fileImage(joinRoot(root, place)),
};

async function* scanTree(root: string, scan: Scan): AsyncGenerator<CaptionRecord[]> {
  let found = 0;
  try {
    for await (const listed of walkFolders(root)) {
      await scan.watch(listed.folder);
      for await (const records of scanFolder(root, listed)) {
        found += records.length;
        yield records;
      }
    }
  } catch (error) {
    if (error instanceof SlipError) throw error;
    throw new SlipError('data', `--root ${root} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  if (found === 0) {
    throw new SlipError(
      'data',
      `--root ${root} has no image with a caption beside it; NAME.jpg with NAME.txt is wanted`,
    );
  }
}

async function* scanFolder(root: string, { folder, files }: ListedFolder): AsyncGenerator<CaptionRecord[]> {
  const names = new Set(files);
  const pairs = files.filter(isImageName).flatMap((image) => {
    const stem = image.slice(0, -path.extname(image).length);
    const extension = CAPTION_EXTENSIONS.find((candidate) => names.has(stem + candidate));
    return extension === undefined ? [] : [{ image, caption: stem + extension, extension }];
  });
  for (let begin = 0; begin < pairs.length; begin += AHEAD) {
    const records = await Promise.all(
      pairs.slice(begin, begin + AHEAD).map(async ({ image, caption, extension }): Promise<CaptionRecord[]> => {
        const file = path.join(folder, caption);
        const captions = captionsIn(extension, await readFile(file), file);
        const place = path.relative(root, path.join(folder, image));
        return captions === undefined ? [] : [[place, ...captions]];
      }),
    );
    yield records.flat();
  }
}

async function* scanJsonLines(metadata: string, scan: Scan): AsyncGenerator<CaptionRecord[]> {
  await watchMetadata(metadata, 'a .jsonl file', scan);
  for await (const lines of readLines(metadata)) {
    yield lines.filter(({ text }) => text.trim() !== '').map((line) => fromJsonLine(line, metadata));
  }
}

function fromJsonLine({ text, line }: Line, metadata: string): CaptionRecord {
  const where = `${metadata}:${line}`;
  const captions = captionsIn('.json', Buffer.from(text), where);
  const { file_name: name } = (JSON.parse(text) ?? {}) as Record<string, unknown>;
  if (typeof name !== 'string' || captions === undefined) {
    throw new SlipError('data', `${where} needs file_name and text (or captions), found ${shown(JSON.parse(text))}`);
  }
  return [checkPlace(name, where), ...captions];
}
