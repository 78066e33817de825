// Pictures with several captions each, in COCO's form, for scoring retrieval: read whole, because such sets are small.
import { readFile } from 'node:fs/promises';
import { SlipError } from '@slip/core';
import { shown } from '../set-reader.js';

export interface CaptionedImages {
  /** File names, in order of the file's `images`; those without captions are left out. */
  readonly images: readonly string[];
  readonly captions: readonly string[];
  /** Of each caption: the index of its picture. Captions of a picture are neighbours. */
  readonly imageOf: readonly number[];
}

const WANTED = 'a file such as captions_val2017.json of COCO is wanted';

/** @param perImage captions of a picture that count, the first ones; 0 is all. @throws SlipError `data` naming the file and the entry */
export async function readCaptionedImages(file: string, perImage: number): Promise<CaptionedImages> {
  const { images, annotations } = await readDocument(file);
  const captionsOf = new Map<unknown, string[]>();
  for (const [i, image] of images.entries()) {
    const { id, file_name: name } = (image ?? {}) as { id?: unknown; file_name?: unknown };
    if (id === undefined || typeof name !== 'string')
      throw new SlipError('data', `${file}: image ${i} needs "id" and "file_name", found ${shown(image)}; ${WANTED}`);
    captionsOf.set(id, []);
  }
  for (const [i, annotation] of annotations.entries()) {
    const { image_id: id, caption } = (annotation ?? {}) as { image_id?: unknown; caption?: unknown };
    const list = captionsOf.get(id);
    if (list === undefined || typeof caption !== 'string') {
      throw new SlipError(
        'data',
        `${file}: annotation ${i} needs the "image_id" of an image and a text "caption", found ${shown(annotation)}; ${WANTED}`,
      );
    }
    if (perImage === 0 || list.length < perImage) list.push(caption);
  }
  const captioned = images.filter((image) => captionsOf.get((image as { id: unknown }).id)!.length > 0);
  const lists = captioned.map((image) => captionsOf.get((image as { id: unknown }).id)!);
  if (lists.length === 0) throw new SlipError('data', `${file} has no captions; ${WANTED}`);
  return {
    images: captioned.map((image) => (image as { file_name: string }).file_name),
    captions: lists.flat(),
    imageOf: lists.flatMap((list, index) => list.map(() => index)),
  };
}

async function readDocument(file: string): Promise<{ images: unknown[]; annotations: unknown[] }> {
  let document: { images?: unknown; annotations?: unknown } | null;
  try {
    document = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new SlipError('data', `--captions ${file} cannot be read: ${(error as Error).message}; ${WANTED}`, {
      cause: error,
    });
  }
  const { images, annotations } = document ?? {};
  if (!Array.isArray(images) || !Array.isArray(annotations))
    throw new SlipError('data', `${file} has no lists "images" and "annotations"; ${WANTED}`);
  return { images, annotations };
}
