// Downloads the archives of a set, checks them against their published checksums and unpacks them.
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { downloadFile, type FileDownloadOptions, SlipError } from '@slip/core';
import { type BinaryArchives, refuseExisting, unpackBinaries } from '@slip/data/prepare';

export interface PrepareBinariesOptions extends FileDownloadOptions {
  readonly archives: BinaryArchives;
  /** Another server with the same files, with a slash at the end. */
  readonly base?: string;
  /** The set's folder. */
  readonly target: string;
}

/**
 * An archive that is in the folder already is taken. What was downloaded stays until all of it is unpacked, so that the same command goes on after a break.
 * @throws SlipError `data` when something cannot be downloaded, or is not what was published
 */
export async function prepareBinaries(options: PrepareBinariesOptions): Promise<void> {
  const { archives, base = archives.base, target } = options;
  await refuseExisting(path.join(target, archives.folder));
  const files: string[] = [];
  for (const { name, md5 } of archives.files) {
    const file = path.join(target, name);
    const url = new URL(name, base).href;
    const isThere = existsSync(file);
    if (isThere) await checkDigest(file, file, md5);
    else await downloadFile(url, file, (part) => checkDigest(part, `what ${url} sent`, md5), options);
    files.push(file);
  }
  await unpackBinaries(files, archives, target);
  for (const file of files) await rm(file);
}

async function checkDigest(file: string, what: string, md5: string): Promise<void> {
  const hash = createHash('md5');
  await pipeline(createReadStream(file), hash);
  const found = hash.digest('hex');
  if (found === md5) return;
  throw new SlipError(
    'data',
    `${what} has the MD5 ${found}, published is ${md5}; remove it if it is there, and try again`,
  );
}
