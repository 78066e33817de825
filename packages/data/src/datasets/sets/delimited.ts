// Tables of path and caption, comma or tab separated, with or without a line of column names; one sample for each row.
import { nearestName, SlipError } from '@slip/core';
import { fileImage } from '../../images/image-source.js';
import { type Row, readRows } from '../../text/rows.js';
import type { DatasetLocation } from '../captioned-dataset.js';
import { type CaptionRecord, checkPlace, type Scan, type SetReader, watchMetadata } from '../set-reader.js';
import { joinRoot } from './paths.js';

const PATH_NAMES = ['filepath', 'file_name', 'filename', 'image_path', 'image', 'path', 'file'];
const CAPTION_NAMES = ['caption', 'text', 'title', 'captions'];

interface Columns {
  readonly image: number;
  readonly caption: number;
}

export function delimited(separator: ',' | '\t'): SetReader {
  return {
    subject: ({ metadata }) => metadata,
    settings: ({ csvImgKey = '', csvCaptionKey = '' }) => [csvImgKey, csvCaptionKey],
    scan: (location, scan) => scanTable(location, separator, scan),
    images:
      ({ root }) =>
      (place) =>
        fileImage(joinRoot(root, place)),
  };
}

/** Used for the tables of image folders too. */
export async function* scanTable(
  location: DatasetLocation,
  separator: ',' | '\t',
  scan: Scan,
): AsyncGenerator<CaptionRecord[]> {
  const { metadata } = location;
  await watchMetadata(metadata, 'a table of path and caption', scan);
  let columns: Columns | undefined;
  for await (const rows of readRows(metadata, separator)) {
    let body = rows;
    if (columns === undefined) {
      const named = namedColumns(rows[0], location);
      columns = named ?? { image: 0, caption: 1 };
      if (named !== undefined) body = rows.slice(1);
    }
    yield body.map((row) => toRecord(row, columns as Columns, metadata));
  }
}

/** Undefined when the first line has no names. */
function namedColumns(
  { fields }: Row,
  { metadata, csvImgKey = '', csvCaptionKey = '' }: DatasetLocation,
): Columns | undefined {
  const image = csvImgKey === '' ? find(fields, PATH_NAMES) : named(fields, csvImgKey, `${metadata}: --csv-img-key`);
  const caption =
    csvCaptionKey === '' ? find(fields, CAPTION_NAMES) : named(fields, csvCaptionKey, `${metadata}: --csv-caption-key`);
  if (image >= 0 && caption >= 0) return { image, caption };
  if (image < 0 && caption < 0) return undefined;
  const missing = image < 0 ? 'paths; name it with --csv-img-key' : 'captions; name it with --csv-caption-key';
  throw new SlipError(
    'data',
    `${metadata}: none of the columns ${fields.join(', ').slice(0, 200)} is known to hold ${missing}`,
  );
}

function find(fields: readonly string[], names: readonly string[]): number {
  const lower = fields.map((field) => field.trim().toLowerCase());
  const name = names.find((candidate) => lower.includes(candidate));
  return name === undefined ? -1 : lower.indexOf(name);
}

function named(fields: readonly string[], name: string, where: string): number {
  const at = fields.indexOf(name);
  if (at >= 0) return at;
  const nearest = nearestName(name, fields);
  const hint = nearest === undefined ? `there are ${fields.join(', ').slice(0, 200)}` : `did you mean ${nearest}?`;
  throw new SlipError('data', `${where} ${name} is no column; ${hint}`);
}

function toRecord({ fields, line }: Row, { image, caption }: Columns, metadata: string): CaptionRecord {
  const needed = Math.max(image, caption) + 1;
  if (fields.length < needed) {
    throw new SlipError('data', `${metadata}:${line}: ${fields.length} column(s) instead of at least ${needed}`);
  }
  return [checkPlace(fields[image], `${metadata}:${line}`), fields[caption]];
}
