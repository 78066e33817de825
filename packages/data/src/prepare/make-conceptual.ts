// cc3m.npy and cc12m.npy from the published tables of captions and URLs and a folder of whatever could be downloaded.
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { SlipError } from '@slip/core';
import type { Picklable } from '@slip/pickle';
import { isImageName, walkFolders } from '../datasets/folder-tree.js';
import { readLines } from '../text/rows.js';
import { writeNpyObjects } from './npy-objects.js';

export interface MakeConceptualOptions {
  readonly kind: 'cc3m' | 'cc12m';
  /** CC3M: caption, URL. CC12M: URL, caption. */
  readonly tsv: string;
  readonly images: string;
  readonly output: string;
  /** Told of bytes of the table read, in all, and of pictures found. */
  readonly progress: (done: number, total: number, found: number) => void;
}

export interface MakeConceptualSummary {
  readonly rows: number;
  readonly found: number;
  /** How pictures were recognised, with how many. */
  readonly by: Readonly<Record<string, number>>;
}

/** How downloaders name files, tried in this order. */
const NAMINGS: readonly { readonly name: string; readonly stem: (row: number, url: string) => string }[] = [
  { name: 'row number', stem: (row) => String(row) },
  { name: 'CRC-32 of the URL', stem: (_, url) => String(crc32(url)) },
  { name: 'row number and CRC-32', stem: (row, url) => `${row}_${crc32(url)}` },
  { name: 'MD5 of the URL', stem: (_, url) => createHash('md5').update(url).digest('hex') },
  { name: 'SHA-1 of the URL', stem: (_, url) => createHash('sha1').update(url).digest('hex') },
  { name: 'SHA-256 of the URL', stem: (_, url) => createHash('sha256').update(url).digest('hex') },
];

/** Rows without a picture are passed over. @throws SlipError `data` naming file and line, or when no picture fits */
export async function makeConceptual(options: MakeConceptualOptions): Promise<MakeConceptualSummary> {
  const pictures = await listPictures(options.images);
  const by: Record<string, number> = {};
  const { size: total } = await stat(options.tsv).catch((error: Error) => {
    throw new SlipError('data', `--tsv ${options.tsv} cannot be read: ${error.message}`, { cause: error });
  });
  let done = 0;
  let row = 0;
  let found = 0;
  await writeNpyObjects(options.output, async (add) => {
    for await (const lines of readLines(options.tsv)) {
      for (const { text, line } of lines) {
        done += Buffer.byteLength(text) + 1;
        if (text === '') continue;
        const { url, caption } = splitRow(options, text, line);
        const match = findPicture(pictures, row, url);
        if (match !== undefined) {
          by[match.naming] = (by[match.naming] ?? 0) + 1;
          found += 1;
          await add(toRecord(options.kind, match.file, row, caption));
        }
        row += 1;
      }
      options.progress(done, total, found);
    }
    if (found === 0) {
      throw new SlipError(
        'data',
        `none of the ${row} rows of ${options.tsv} has a picture in ${options.images}; files are recognised by img2dataset's ` +
          `.json beside them, or by their names: ${NAMINGS.map(({ name }) => name).join(', ')}`,
      );
    }
  });
  return { rows: row, found, by };
}

function splitRow({ kind, tsv }: MakeConceptualOptions, text: string, line: number): { url: string; caption: string } {
  const fields = text.split('\t');
  const [url, caption] = kind === 'cc3m' ? [fields[1], fields[0]] : [fields[0], fields[1]];
  if (fields.length < 2 || !/^https?:/i.test(url)) {
    const order = kind === 'cc3m' ? 'caption, URL' : 'URL, caption';
    throw new SlipError(
      'data',
      `${tsv}:${line}: ${JSON.stringify(text.slice(0, 80))}; two columns are wanted: ${order}`,
    );
  }
  return { url, caption };
}

interface Pictures {
  /** Paths relative to the folder, by file name without extension. */
  readonly byStem: ReadonlyMap<string, string>;
  /** From img2dataset's notes. */
  readonly byUrl: ReadonlyMap<string, string>;
}

async function listPictures(root: string): Promise<Pictures> {
  const byStem = new Map<string, string>();
  const byUrl = new Map<string, string>();
  try {
    for await (const { folder, files } of walkFolders(root)) {
      const names = new Set(files);
      for (const name of files) {
        // CC3M's own files have no extension.
        if (!isImageName(name) && path.extname(name) !== '') continue;
        const stem = name.slice(0, name.length - path.extname(name).length);
        const file = path.relative(root, path.join(folder, name));
        byStem.set(stem, file);
        if (!names.has(`${stem}.json`)) continue;
        const url = await urlOf(path.join(folder, `${stem}.json`));
        if (url !== undefined) byUrl.set(url, file);
      }
    }
  } catch (error) {
    if (error instanceof SlipError) throw error;
    throw new SlipError('data', `--images ${root} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  return { byStem, byUrl };
}

async function urlOf(file: string): Promise<string | undefined> {
  try {
    const { url } = JSON.parse(await readFile(file, 'utf8'));
    return typeof url === 'string' ? url : undefined;
  } catch (error) {
    throw new SlipError('data', `${file} is no JSON: ${(error as Error).message}`, { cause: error });
  }
}

function findPicture(
  { byStem, byUrl }: Pictures,
  row: number,
  url: string,
): { file: string; naming: string } | undefined {
  // In img2dataset's layout names are numbers too, of shards and not of rows.
  if (byUrl.size > 0) {
    const file = byUrl.get(url);
    return file === undefined ? undefined : { file, naming: "img2dataset's notes" };
  }
  for (const { name, stem } of NAMINGS) {
    const file = byStem.get(stem(row, url));
    if (file !== undefined) return { file, naming: name };
  }
  return undefined;
}

function toRecord(kind: 'cc3m' | 'cc12m', file: string, row: number, caption: string): Picklable {
  const place: [Picklable, Picklable][] =
    kind === 'cc3m'
      ? [['image_id', file]]
      : [
          ['image_name', file],
          ['image_id', row],
        ];
  return new Map<Picklable, Picklable>([...place, ['captions', [caption]]]);
}
