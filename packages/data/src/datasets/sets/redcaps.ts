// RedCaps (reference 5.1): a JSON list of annotations, gigabytes of it; the image is SUBREDDIT/IMAGE_ID.jpg.
import path from 'node:path';
import { SlipError } from '@slip/core';
import { fileImage } from '../../images/image-source.js';
import { jsonElements, parseElement } from '../../text/json-elements.js';
import { type CaptionRecord, type SetReader, shown, wantFolder, watchMetadata } from '../set-reader.js';

const WANTED = 'the file that slip-data combine-captions writes';

export const redcaps: SetReader = {
  check: ({ root }) => wantFolder(root, '--root', 'RedCaps keeps its images there, as SUBREDDIT/IMAGE_ID.jpg'),
  subject: ({ metadata }) => metadata,

  async *scan({ metadata }, scan) {
    const { bytes } = await watchMetadata(metadata, WANTED, scan);
    let number = 0;
    for await (const elements of jsonElements(metadata, 'annotations')) {
      scan.progress.part = (elements.at(-1)?.offset ?? 0) / bytes;
      yield elements.map((element) => toRecord(parseElement(metadata, element), metadata, number++));
    }
  },

  images:
    ({ root }) =>
    (place) =>
      fileImage(path.join(root, place)),
};

function toRecord(annotation: unknown, metadata: string, number: number): CaptionRecord {
  const { image_id: id, subreddit, caption } = (annotation ?? {}) as Record<string, unknown>;
  if (!isName(id) || !isName(subreddit) || typeof caption !== 'string') {
    throw new SlipError(
      'data',
      `${metadata}: annotation ${number} needs image_id, subreddit and caption as texts, found ${shown(annotation)}; ` +
        `${WANTED} is wanted`,
    );
  }
  return [`${subreddit}/${id}.jpg`, caption];
}

/** Of a file or folder, without a way out of it. */
function isName(value: unknown): value is string {
  return typeof value === 'string' && /^[^/\0]+$/.test(value) && value !== '..' && value !== '.';
}
