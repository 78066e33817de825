// Published weights in a local cache: downloaded once, and only given their name when the archive's own directory is whole. Nobody
// published checksums.
import path from 'node:path';
import { downloadFile, type FileDownloadOptions, nearestName, SlipError } from '@slip/core';
import { PUBLISHED_BASE, PUBLISHED_MODELS } from './published.js';
import { openTorchFile } from './torch/torch-file.js';

export interface DownloadOptions extends FileDownloadOptions {
  /** Made if needed. */
  readonly cacheDir: string;
  /** Where the files are, with a slash at the end; a mirror inside a cluster for example. */
  readonly base?: string | undefined;
}

/**
 * @param name one of `PUBLISHED_MODELS`
 * @returns the file in the cache
 * @throws SlipError `config` for an unknown name, `data` when it cannot be downloaded (what has come stays for the next
 *   try), `checkpoint` when what came is no such file
 */
export async function fetchPublished(name: string, options: DownloadOptions): Promise<string> {
  if (!PUBLISHED_MODELS.some((model) => model.name === name)) {
    const meant = nearestName(
      name,
      PUBLISHED_MODELS.map((model) => model.name),
    );
    throw new SlipError(
      'config',
      `--pretrained ${name} is not one of the ${PUBLISHED_MODELS.length} published models` +
        `${meant === undefined ? '' : `; did you mean ${meant}?`}; slip-checkpoint published lists them`,
    );
  }
  const file = path.join(options.cacheDir, `${name}.pt`);
  const url = new URL(`${name}.pt`, options.base ?? PUBLISHED_BASE).href;
  await downloadFile(url, file, (part) => checkArchive(part, url), options);
  return file;
}

/** A page of a proxy or a cut-off file has no directory at its end. */
async function checkArchive(part: string, url: string): Promise<void> {
  try {
    await (await openTorchFile(part)).close();
  } catch (error) {
    throw new SlipError(
      'checkpoint',
      `what ${url} sent is not a checkpoint and was removed: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}
