// COCO captions (reference 5.1): one sample per image, images in order of first appearance, all captions of an image.
import path from 'node:path';
import { SlipError } from '@slip/core';
import { fileImage } from '../../images/image-source.js';
import { jsonElements, parseElement } from '../../text/json-elements.js';
import { type CaptionRecord, type SetReader, shown, wantFolder, watchMetadata } from '../set-reader.js';

const WANTED = 'captions_train2017.json of COCO';

export const coco: SetReader = {
  check: ({ root }) => wantFolder(path.join(root, 'train2017'), `--root ${root}`, 'COCO keeps its images there'),
  subject: ({ metadata }) => metadata,

  async *scan({ metadata }, scan) {
    const { bytes } = await watchMetadata(metadata, WANTED, scan);
    const captions = new Map<number, string[]>();
    let number = 0;
    for await (const elements of jsonElements(metadata, 'annotations')) {
      scan.progress.part = (elements.at(-1)?.offset ?? 0) / bytes;
      for (const element of elements) addCaption(captions, parseElement(metadata, element), metadata, number++);
      await scan.progress.add(0);
    }
    if (number === 0) throw new SlipError('data', `--metadata ${metadata} has no annotations; ${WANTED} is wanted`);
    yield Array.from(captions, ([id, texts]): CaptionRecord => [`${String(id).padStart(12, '0')}.jpg`, ...texts]);
  },

  images({ root }) {
    const folder = path.join(root, 'train2017');
    return (place) => fileImage(path.join(folder, place));
  },
};

function addCaption(captions: Map<number, string[]>, annotation: unknown, metadata: string, number: number): void {
  const { image_id: id = -1, caption } = (annotation ?? {}) as { image_id?: number; caption?: unknown };
  if (!Number.isSafeInteger(id) || id < 0 || typeof caption !== 'string') {
    throw new SlipError(
      'data',
      `${metadata}: annotation ${number} needs a number "image_id" and a text "caption", found ${shown(annotation)}; ` +
        `${WANTED} is wanted`,
    );
  }
  const known = captions.get(id);
  if (known === undefined) captions.set(id, [caption]);
  else known.push(caption);
}
