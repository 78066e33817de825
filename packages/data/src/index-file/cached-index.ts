// An index that is made the first time and opened from then on: where it is kept, whether it still fits, who makes it.
import { createHash } from 'node:crypto';
import { lstat, mkdir, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { SlipError } from '@slip/core';
import { withIndexLock } from './index-lock.js';
import { IndexReader } from './index-reader.js';
import { IndexWriter, isLeftOver } from './index-writer.js';
import { areUnchanged, type SourceState, sourceState } from './source-state.js';

/** Shared sets are often read-only. */
const FALLBACK = path.join(os.tmpdir(), `slip-index-${os.userInfo().uid}`);

export interface IndexPlan {
  /** What the records are. */
  readonly kind: string;
  /** The file or folder that it is an index of; it is kept beside that unless there is `indexDir`. */
  readonly subject: string;
  readonly indexDir?: string | undefined;
  /** Whatever else decides what is in it. */
  readonly settings: readonly string[];
  readonly recordsPerBlock: number;
  /** What is there already is made anew. */
  readonly remake?: boolean;
  /** Adds every record. */
  readonly build: (target: IndexTarget) => Promise<void>;
}

export interface IndexTarget {
  readonly writer: IndexWriter;
  /** To be called before a file or folder is read: the index is stale once that changes. */
  watch(source: string): Promise<SourceState>;
}

/** @throws SlipError `data` when it can be kept nowhere, and what `build` throws */
export async function openCachedIndex(plan: IndexPlan): Promise<IndexReader> {
  const folders = indexFolders(plan);
  const files: string[] = [];
  for (const folder of folders) {
    if (folder !== FALLBACK || (await isOurs(folder))) files.push(path.join(folder, indexName(plan)));
  }
  for (const file of plan.remake === true ? [] : files) {
    const found = await openFitting(file, plan.kind);
    if (found !== undefined) return found;
  }
  for (const file of files) {
    if (await isWritableFolder(path.dirname(file))) return await make(file, plan);
  }
  throw new SlipError(
    'data',
    `an index of ${plan.subject} can be written neither to ${folders.join(' nor to ')}; ` +
      'name a folder with --index-dir',
  );
}

/** What is there already, made from sources that have not changed. */
async function openFitting(file: string, kind: string): Promise<IndexReader | undefined> {
  const reader = IndexReader.tryOpen(file);
  if (reader === undefined) return undefined;
  if (reader.header.kind === kind && (await areUnchanged(reader.header.sources))) return reader;
  reader.close();
  return undefined;
}

/** By preference. */
export function indexFolders({ subject, indexDir }: Pick<IndexPlan, 'subject' | 'indexDir'>): string[] {
  if (indexDir !== undefined && indexDir !== '') return [path.resolve(indexDir)];
  const beside = path.join(path.dirname(path.resolve(subject)), '.slip-index');
  return [beside, FALLBACK];
}

export function indexName({ kind, subject, settings }: Pick<IndexPlan, 'kind' | 'subject' | 'settings'>): string {
  const absolute = path.resolve(subject);
  const hash = createHash('sha256')
    .update(JSON.stringify([kind, absolute, ...settings]))
    .digest('hex');
  return `${path.basename(absolute)}-${hash.slice(0, 12)}.slipindex`;
}

async function make(file: string, plan: IndexPlan): Promise<IndexReader> {
  const existing = async () => (plan.remake === true ? undefined : openFitting(file, plan.kind));
  return withIndexLock(`${file}.lock`, existing, async () => {
    await removeLeftOvers(file);
    const sources: SourceState[] = [];
    const writer = new IndexWriter(file, plan.recordsPerBlock);
    try {
      await plan.build({
        writer,
        async watch(source) {
          const state = await sourceState(source);
          sources.push(state);
          return state;
        },
      });
      await writer.finish({ kind: plan.kind, sources });
    } catch (error) {
      writer.abort();
      if (!isSystemError(error)) throw error;
      throw new SlipError('data', `the index of ${plan.subject} cannot be made: ${error.message}`, { cause: error });
    }
    const made = IndexReader.tryOpen(file);
    if (made === undefined) throw new SlipError('data', `the index ${file} vanished while it was made`);
    return made;
  });
}

async function removeLeftOvers(file: string): Promise<void> {
  const folder = path.dirname(file);
  for (const name of await readdir(folder)) {
    if (isLeftOver(name, file)) await rm(path.join(folder, name), { force: true });
  }
}

/** Made if need be. */
async function isWritableFolder(folder: string): Promise<boolean> {
  try {
    await mkdir(folder, { recursive: true });
    const probe = path.join(folder, `.probe-${process.pid}-${process.hrtime.bigint()}`);
    await mkdir(probe);
    await rm(probe, { recursive: true });
    return true;
  } catch {
    return false;
  }
}

/** Where everybody may write, a folder that somebody else put there is not used. */
async function isOurs(folder: string): Promise<boolean> {
  const found = await lstat(folder).catch(() => undefined);
  return found === undefined || (found.isDirectory() && found.uid === os.userInfo().uid);
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}
