// The task recall: image-text retrieval scores on captioned pictures in COCO's form, both directions.
import path from 'node:path';
import type { RecallConfig } from '@slip/config';
import { SlipError, writeFileAtomic } from '@slip/core';
import { readCaptionedImages } from '@slip/data';
import { unitRows } from '../encode/encoder.js';
import { readEmbedded } from './embedding-folder.js';
import { countNearer, RECALL_AT, recallOf } from './recall.js';
import { embedInto, type UsePlace } from './run-embed.js';

/** Collective: every rank scores its share of the pictures. Leaves `recall.json`. */
export async function runRecall(config: RecallConfig, place: UsePlace): Promise<void> {
  const { group, log } = place;
  const { outputDir: folder, captions: file, captionsPerImage } = config;
  const { images, captions, imageOf } = await readCaptionedImages(file, captionsPerImage);
  const facts = await embedInto(
    folder,
    { images: { root: config.images, files: images }, texts: captions },
    config,
    place,
  );
  await group.barrier();
  const [embedded, texts] = [await readEmbedded(folder, facts, 'images'), await readEmbedded(folder, facts, 'texts')];
  if (embedded === undefined || texts === undefined)
    throw new SlipError('data', `${folder} is not complete; start again`);
  unitRows(embedded.features.values, embedded.features.rows);
  unitRows(texts.features.values, texts.features.rows);
  const boundary = (rank: number) => Math.floor((images.length * rank) / group.worldSize);
  const share = [boundary(group.rank), boundary(group.rank + 1)] as const;
  const { nearerCaptions, nearerImages } = countNearer(embedded.features, texts.features, imageOf, share);
  const lengths = Array.from({ length: group.worldSize }, (_, rank) => boundary(rank + 1) - boundary(rank));
  const ofImages = new Float32Array(images.length);
  await group.allGather(Float32Array.from(nearerCaptions), ofImages, lengths);
  await group.allReduce(nearerImages);
  if (group.rank !== 0) return;
  const figures = { imageToText: recallOf(ofImages), textToImage: recallOf(nearerImages) };
  const document = { images: images.length, captions: captions.length, weights: facts.model.path, ...figures };
  await writeFileAtomic(path.join(folder, 'recall.json'), `${JSON.stringify(document, null, 1)}\n`);
  const shown = (values: Readonly<Record<string, number>>) =>
    RECALL_AT.map((k) => `R@${k} ${values[`R@${k}`].toFixed(2)}`).join(' ');
  log.info(
    `recall * image to text ${shown(figures.imageToText)}, text to image ${shown(figures.textToImage)} ` +
      `(${images.length} images, ${captions.length} captions)`,
  );
}
