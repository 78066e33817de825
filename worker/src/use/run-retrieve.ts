// The task retrieve: pictures for texts and texts for pictures, over a folder that embed has written.
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { RetrieveConfig } from '@slip/config';
import { SlipError, writeFileAtomic } from '@slip/core';
import type { FloatMatrix } from '@slip/data';
import { nearestRows } from '../encode/cosines.js';
import { unitRows } from '../encode/encoder.js';
import { SlipModel } from '../encode/slip-model.js';
import { type Embedded, type EmbeddingFacts, readEmbedded, readFacts } from './embedding-folder.js';
import { modelForUse } from './model-for-use.js';
import { type Answer, retrievalPage } from './retrieval-page.js';
import type { UsePlace } from './run-embed.js';

/** What is looked for, and in what. */
interface Search {
  readonly kind: Answer['kind'];
  readonly queries: readonly string[];
  /** Unit rows. */
  readonly vectors: FloatMatrix;
  readonly names: readonly string[];
  readonly rows: FloatMatrix;
}

/** Rank 0 does it. @param print results, on standard output */
export async function runRetrieve(
  config: RetrieveConfig,
  place: UsePlace,
  print: (line: string) => void,
): Promise<void> {
  if (place.group.rank !== 0) return;
  const facts = await readFacts(config.embedded);
  const [images, texts] = [
    asUnit(await readEmbedded(config.embedded, facts, 'images')),
    asUnit(await readEmbedded(config.embedded, facts, 'texts')),
  ];
  const asked = config.query !== undefined || config.image !== undefined;
  const searches = asked
    ? await askedSearches(config, facts, images, texts, place)
    : ownSearches(config, images, texts);
  const answers = searches.flatMap((search) => answersOf(search, config.topK));
  if (config.json || asked) for (const answer of answers) for (const line of linesOf(answer, config.json)) print(line);
  const folder = config.outputDir === '' ? path.join(config.embedded, 'retrieval') : config.outputDir;
  await mkdir(folder, { recursive: true });
  await writeFileAtomic(
    path.join(folder, 'retrieval.json'),
    `${answers.map((answer) => JSON.stringify(answer)).join('\n')}\n`,
  );
  const page = path.join(folder, 'retrieval.html');
  await writeFileAtomic(page, await retrievalPage(answers, facts));
  place.log.info(`retrieve * ${answers.length} queries over ${describe(images, texts)}: ${page}`);
}

function describe(images: Embedded | undefined, texts: Embedded | undefined): string {
  const counts = [
    ...(images === undefined ? [] : [`${images.names.length.toLocaleString('en')} images`]),
    ...(texts === undefined ? [] : [`${texts.names.length.toLocaleString('en')} texts`]),
  ];
  return counts.join(' and ');
}

function asUnit(embedded: Embedded | undefined): Embedded | undefined {
  if (embedded !== undefined) unitRows(embedded.features.values, embedded.features.rows);
  return embedded;
}

/** Everything in the folder is a query for what is of the other kind. */
function ownSearches(
  { embedded }: RetrieveConfig,
  images: Embedded | undefined,
  texts: Embedded | undefined,
): Search[] {
  if (images === undefined || texts === undefined) {
    const missing = images === undefined ? 'pictures' : 'texts';
    throw new SlipError(
      'config',
      `${embedded} has no ${missing}, so there is nothing to look for; give --query "a text" or --image FILE, or embed ${missing} too`,
    );
  }
  return [
    {
      kind: 'text-to-image',
      queries: texts.names,
      vectors: texts.features,
      names: images.names,
      rows: images.features,
    },
    {
      kind: 'image-to-text',
      queries: images.names,
      vectors: images.features,
      names: texts.names,
      rows: texts.features,
    },
  ];
}

async function askedSearches(
  config: RetrieveConfig,
  facts: EmbeddingFacts,
  images: Embedded | undefined,
  texts: Embedded | undefined,
  place: UsePlace,
): Promise<Search[]> {
  const { query = [], embedded, truncate } = config;
  // Names of the folder are relative to its pictures, these to where the command was given.
  const image = (config.image ?? []).map((file) => path.resolve(file));
  if (query.length > 0 && images === undefined)
    throw new SlipError('config', `--query looks for pictures, and ${embedded} has none; embed with --images`);
  const model = await modelForUse(config.resume || facts.model.path, config, place);
  const encoders = new SlipModel(model, { truncate, threads: place.threads });
  const { width } = encoders;
  if (width !== facts.width) {
    throw new SlipError(
      'config',
      `--resume ${config.resume} has features of width ${width}, and ${embedded} was embedded with width ${facts.width}; give the same model`,
    );
  }
  const matrix = (values: Float32Array): FloatMatrix => {
    const rows = values.length / width;
    return { rows, width, values: unitRows(values, rows) };
  };
  try {
    const vectors = query.length === 0 ? undefined : matrix(await encoders.encodeTexts(query));
    const pictures = image.length === 0 ? undefined : matrix(await encoders.encodeImages(image));
    const over = (of: Embedded) => ({ names: of.names, rows: of.features });
    return [
      ...(vectors === undefined ? [] : [{ kind: 'text-to-image' as const, queries: query, vectors, ...over(images!) }]),
      ...(pictures === undefined || texts === undefined
        ? []
        : [{ kind: 'image-to-text' as const, queries: image, vectors: pictures, ...over(texts) }]),
      ...(pictures === undefined || images === undefined
        ? []
        : [{ kind: 'image-to-image' as const, queries: image, vectors: pictures, ...over(images) }]),
    ];
  } finally {
    await encoders.close();
  }
}

function answersOf({ kind, queries, vectors, names, rows }: Search, count: number): Answer[] {
  const { width } = vectors;
  return queries.map((query, i) => {
    const vector = vectors.values.subarray(i * width, (i + 1) * width);
    const found = nearestRows(vector, rows, count).map(({ row, score }) => ({ row, name: names[row], score }));
    return { kind, query, found };
  });
}

function linesOf(answer: Answer, json: boolean): string[] {
  if (json) return [JSON.stringify(answer)];
  return [
    `${answer.query} (${answer.kind})`,
    ...answer.found.map(({ name, score }) => `  ${score.toFixed(4)}  ${name}`),
  ];
}
