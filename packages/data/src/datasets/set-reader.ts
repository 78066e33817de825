// What each kind of set has to say for itself (`sets/`), and what they share.
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { SlipError } from '@slip/core';
import type { ImageSource } from '../images/image-source.js';
import type { SourceState } from '../index-file/source-state.js';
import type { DatasetLocation, IndexingProgress } from './captioned-dataset.js';

/** The place of an image, which the set's own `images` understands, and its captions. */
export type CaptionRecord = readonly [place: string, ...captions: string[]];

export interface SetReader {
  /** Quick checks at every start, such as that the root is there. */
  check?(location: DatasetLocation): Promise<void>;
  /** The file or folder that records come from. */
  subject(location: DatasetLocation): string;
  /** What else of the location decides what the records are. */
  settings?(location: DatasetLocation): readonly string[];
  /** Every record in the order of the set, in batches. @throws SlipError `data` naming file and record */
  scan(location: DatasetLocation, scan: Scan): AsyncIterable<readonly CaptionRecord[]>;
  /** Finds images by place. */
  images(location: DatasetLocation): (place: string) => ImageSource;
}

export interface Scan {
  /** To be called before a file or folder is read: a change of it makes what was read stale. */
  watch(source: string): Promise<SourceState>;
  readonly progress: BuildProgress;
}

const TELL_MS = 200;

/** Tells of the progress now and then, and lets other work of the process have its turn. */
export class BuildProgress {
  readonly #tell: IndexingProgress | undefined;
  #records = 0;
  #told = 0;
  /** From 0 to 1; set by whoever scans. */
  part = 0;

  constructor(tell: IndexingProgress | undefined) {
    this.#tell = tell;
  }

  async add(records: number): Promise<void> {
    this.#records += records;
    const now = performance.now();
    if (now - this.#told < TELL_MS) return;
    this.#told = now;
    this.#tell?.(this.#records, this.part);
    await setImmediate();
  }
}

/** @throws SlipError `data` when there is no such folder */
export async function wantFolder(folder: string, flag: string, why: string): Promise<void> {
  const isFolder = await stat(folder).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) throw new SlipError('data', `${flag}: there is no folder ${folder}; ${why}`);
}

/** Before it is read: errors should name the flag. */
export async function watchMetadata(metadata: string, wanted: string, { watch }: Scan): Promise<SourceState> {
  return watch(metadata).catch((error: Error) => {
    throw new SlipError('data', `--metadata ${metadata} cannot be read: ${error.message}; ${wanted} is wanted`, {
      cause: error,
    });
  });
}

/**
 * A path from a set's metadata below its root; absolute ones are taken as they are, as Python does.
 * @throws SlipError `data` for one that leads out of the root or cannot be a path
 */
export function checkPlace(place: string, where: string): string {
  const isOutside = !path.isAbsolute(place) && path.normalize(place).split(path.sep)[0] === '..';
  if (place === '' || place.includes('\0') || isOutside) {
    throw new SlipError(
      'data',
      `${where} has the path ${JSON.stringify(place.slice(0, 120))}, which is not below --root`,
    );
  }
  return place;
}

const SHOWN_ITEMS = 4;
const SHOWN_DEPTH = 2;

/** What was found, for a message: the beginning of it, since values of a file made to harm may be endless. */
export function shown(value: unknown, depth = 0): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  if (typeof value !== 'object' || value === null) return value === undefined ? 'nothing' : String(value);
  if (depth === SHOWN_DEPTH) return '...';
  if (Array.isArray(value)) {
    const items = value.slice(0, SHOWN_ITEMS).map((item) => shown(item, depth + 1));
    return `[${[...items, ...(value.length > SHOWN_ITEMS ? ['...'] : [])].join(', ')}]`;
  }
  const entries: [unknown, unknown][] = value instanceof Map ? [...value] : Object.entries(value);
  const items = entries
    .slice(0, SHOWN_ITEMS)
    .map(([key, item]) => `${shown(key, SHOWN_DEPTH)}: ${shown(item, depth + 1)}`);
  return `{${[...items, ...(entries.length > SHOWN_ITEMS ? ['...'] : [])].join(', ')}}`;
}
