// Decides whether a checkpoint folder can be trusted, and if not says why in words for people. Changes nothing.
import { open, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { type Part, readHashed } from './hashed-read.js';
import { COMMIT_NAME, MANIFEST_NAME, type Manifest, type ManifestShard, parseManifest } from './manifest.js';

export type Verdict = { manifest: Manifest } | { reason: string };

/**
 * @param contents false checks COMMIT, manifest and file sizes; true also reads every byte and compares SHA-256
 * @throws SlipError `checkpoint` for a format newer than this program
 */
export async function verifyFolder(folder: string, contents: boolean): Promise<Verdict> {
  const texts: (string | undefined)[] = [];
  for (const name of [MANIFEST_NAME, COMMIT_NAME]) {
    const text = await readText(path.join(folder, name));
    if (text instanceof Error) return { reason: `${name} cannot be read: ${text.message}` };
    texts.push(text);
  }
  const verdict = parseManifest(folder, texts[0], texts[1]);
  if ('reason' in verdict) return verdict;
  for (const shard of Object.values(verdict.manifest.files).flat()) {
    const reason = await checkShard(folder, shard, contents ? [{ skip: shard.sizeBytes }] : undefined);
    if (reason !== undefined) return { reason };
  }
  return verdict;
}

/** Undefined where there is no such file. */
async function readText(file: string): Promise<string | Error | undefined> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? undefined : error));
}

/**
 * @param parts where its bytes go while they are read and compared with its SHA-256; undefined looks at the size alone
 * @returns what is wrong with it
 */
export async function checkShard(
  folder: string,
  shard: ManifestShard,
  parts?: readonly Part[],
): Promise<string | undefined> {
  const file = path.join(folder, shard.name);
  try {
    const { size } = await stat(file);
    if (size !== shard.sizeBytes) return `${shard.name} has ${size} bytes instead of ${shard.sizeBytes}`;
    if (parts === undefined) return undefined;
    const handle = await open(file, 'r');
    try {
      const sha256 = await readHashed(file, handle, parts);
      return sha256 === shard.sha256 ? undefined : `${shard.name} has changed since it was written (SHA-256 differs)`;
    } finally {
      await handle.close();
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? `${shard.name} is missing` : `${shard.name} cannot be read: ${message}`;
  }
}
