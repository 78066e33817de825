// What `--pretrained` may name: one of the published models, which is downloaded once, or a file or folder that is there.
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';
import { type DownloadOptions, fetchPublished } from './download.js';
import { PUBLISHED_MODELS } from './published.js';

/**
 * Brings what `--pretrained` names onto this machine. Several commands may ask for the same file: one downloads, others wait.
 * @returns a file or folder that is there
 * @throws SlipError as `fetchPublished`, `checkpoint` for a path that is not there
 */
export async function fetchPretrained(name: string, options: DownloadOptions): Promise<string> {
  if (await isThere(name)) return name;
  if (looksLikePath(name)) throw new SlipError('checkpoint', `--pretrained ${name}: there is no such file or folder`);
  return fetchPublished(name, { ...options, whenLocked: 'wait' });
}

/**
 * The same without a network, for workers: the launcher has brought it before.
 * @throws SlipError `checkpoint` when it is not there
 */
export async function findPretrained(name: string, cacheDir: string): Promise<string> {
  if (await isThere(name)) return name;
  const file = path.join(cacheDir, `${name}.pt`);
  if (PUBLISHED_MODELS.some((model) => model.name === name) && (await isThere(file))) return file;
  throw new SlipError(
    'checkpoint',
    `--pretrained ${name}: neither ${path.resolve(name)} nor ${file} is on this machine`,
  );
}

/** Names of published models have neither. */
function looksLikePath(name: string): boolean {
  return name.includes('/') || name.includes('.');
}

async function isThere(file: string): Promise<boolean> {
  return (await stat(file).catch(() => undefined)) !== undefined;
}
