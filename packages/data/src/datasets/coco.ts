// COCO captions (reference 5.1): one sample per image, images in order of first appearance, all captions of an image.
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';
import type { CaptionedDataset } from './captioned-dataset.js';

interface Annotation {
  readonly image_id: number;
  readonly caption: string;
}

export async function openCoco(root: string, metadata: string): Promise<CaptionedDataset> {
  const folder = path.join(root, 'train2017');
  if (!(await isFolder(folder))) {
    throw new SlipError('data', `--root ${root}: there is no folder ${folder}; COCO keeps its images there`);
  }
  const captions = groupByImage(await readAnnotations(metadata), metadata);
  const ids = [...captions.keys()];
  return {
    name: 'coco',
    length: ids.length,
    describe: (index) => ({
      file: path.join(folder, `${String(ids[index]).padStart(12, '0')}.jpg`),
      captions: captions.get(ids[index])!,
    }),
  };
}

async function readAnnotations(metadata: string): Promise<readonly unknown[]> {
  let document: unknown;
  try {
    document = JSON.parse(await readFile(metadata, 'utf8'));
  } catch (error) {
    throw new SlipError(
      'data',
      `--metadata ${metadata} cannot be read: ${(error as Error).message}; captions_train2017.json is wanted`,
      {
        cause: error,
      },
    );
  }
  const annotations = (document as { annotations?: unknown } | null)?.annotations;
  if (!Array.isArray(annotations) || annotations.length === 0) {
    throw new SlipError('data', `--metadata ${metadata} has no annotations; captions_train2017.json of COCO is wanted`);
  }
  return annotations;
}

function groupByImage(annotations: readonly unknown[], metadata: string): Map<number, string[]> {
  const captions = new Map<number, string[]>();
  annotations.forEach((annotation, i) => {
    const { image_id = -1, caption } = (annotation ?? {}) as Partial<Annotation>;
    if (!Number.isSafeInteger(image_id) || image_id < 0 || typeof caption !== 'string') {
      const found = JSON.stringify(annotation)?.slice(0, 120);
      throw new SlipError(
        'data',
        `${metadata}: annotation ${i} needs a number "image_id" and a text "caption", found ${found}; ` +
          'captions_train2017.json of COCO is wanted',
      );
    }
    const known = captions.get(image_id);
    if (known === undefined) captions.set(image_id, [caption]);
    else known.push(caption);
  });
  return captions;
}

async function isFolder(folder: string): Promise<boolean> {
  return stat(folder).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
