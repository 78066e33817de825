// Reads and decodes every image of a set, and keeps a report of those that cannot be. The report is added to as the work
// goes on, so that an interrupted one goes on where it was.
import { appendFile, open, readFile, truncate } from 'node:fs/promises';
import { SlipError } from '@slip/core';
import { type CaptionedDataset, type DatasetLocation, openDataset } from '../datasets/captioned-dataset.js';
import { decodeImage } from '../images/decode-image.js';

export interface VerifyOptions {
  readonly location: DatasetLocation;
  /** JSON lines: what was verified, each bad sample, and how far it has come. */
  readonly report: string;
  /** Images at a time. */
  readonly concurrency: number;
  /** An earlier report is not continued. */
  readonly restart: boolean;
  /** Told of samples done, in all, and bad ones. */
  readonly progress: (done: number, total: number, bad: number) => void;
}

export interface VerifySummary {
  readonly samples: number;
  readonly bad: number;
  /** Samples that an earlier call had verified. */
  readonly resumedAt: number;
}

const CHUNK = 512;

interface Report {
  /** What is verified; another set or another length is another report. */
  readonly head: string;
  readonly done: number;
  readonly bad: number;
}

/** @throws SlipError `data` when set or report cannot be opened; bad samples are counted */
export async function verifyDataset(options: VerifyOptions): Promise<VerifySummary> {
  const dataset = await openDataset(options.location);
  try {
    const { root, metadata } = options.location;
    const head = JSON.stringify({ dataset: dataset.name, root, metadata, samples: dataset.length });
    const earlier = options.restart ? undefined : await readReport(options.report, head);
    if (earlier === undefined) await replaceReport(options.report, head);
    const resumedAt = earlier?.done ?? 0;
    let bad = earlier?.bad ?? 0;
    for (let begin = resumedAt; begin < dataset.length; begin += CHUNK) {
      const end = Math.min(dataset.length, begin + CHUNK);
      const lines = await verifyRange(dataset, begin, end, options.concurrency);
      bad += lines.length;
      await appendFile(options.report, `${[...lines, JSON.stringify({ verified: end })].join('\n')}\n`);
      options.progress(end, dataset.length, bad);
    }
    return { samples: dataset.length, bad, resumedAt };
  } finally {
    dataset.close();
  }
}

/** One line for each bad sample, in order. */
async function verifyRange(
  dataset: CaptionedDataset,
  begin: number,
  end: number,
  concurrency: number,
): Promise<string[]> {
  const errors: (string | undefined)[] = [];
  let next = begin;
  const work = async () => {
    while (next < end) {
      const sample = next++;
      const { image } = dataset.describe(sample);
      try {
        await decodeImage(image);
      } catch (error) {
        if (!(error instanceof SlipError) || error.code !== 'data') throw error;
        errors[sample - begin] = JSON.stringify({ sample, image: image.name, error: error.message });
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  return errors.filter((line) => line !== undefined);
}

/** Undefined where there is none that can be continued. */
async function readReport(file: string, head: string): Promise<Report | undefined> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new SlipError('data', `--report ${file} cannot be read: ${error.message}`, { cause: error });
  });
  if (text === undefined || text === '') return undefined;
  const lines = text.split('\n');
  if (lines[0] !== head) {
    throw new SlipError(
      'data',
      `--report ${file} is of another set or no report; name another file, or pass --restart`,
    );
  }
  // What was written behind the last mark may be cut off, and is done again.
  const last = lines.findLastIndex((line) => line.startsWith('{"verified":') && line.endsWith('}'));
  const kept = lines.slice(0, last < 0 ? 1 : last + 1);
  await truncate(file, Buffer.byteLength(`${kept.join('\n')}\n`));
  const done = last < 0 ? 0 : (JSON.parse(lines[last]) as { verified: number }).verified;
  return { head, done, bad: kept.filter((line) => line.startsWith('{"sample":')).length };
}

async function replaceReport(file: string, head: string): Promise<void> {
  try {
    const handle = await open(file, 'w');
    await handle.writeFile(`${head}\n`);
    await handle.close();
  } catch (error) {
    throw new SlipError('data', `--report ${file} cannot be written: ${(error as Error).message}`, { cause: error });
  }
}
