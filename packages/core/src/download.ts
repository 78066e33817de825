// Files from a server: downloaded once, continued where a download broke off, and only given their name when the length is what the server
// said and the caller has looked into them.
import { createWriteStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { syncFolder } from './atomic-write.js';
import { withDownloadLock } from './download-lock.js';
import { SlipError } from './errors.js';
import { checkFreeSpace } from './free-space.js';

export interface FileDownloadOptions {
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
  /** How long the server may be silent. */
  readonly stallMs?: number;
  /** Tries after a connection that broke; each continues where the last one stopped. */
  readonly retries?: number;
  /** When another command downloads the same file: an error (the default), or wait for it. */
  readonly whenLocked?: 'fail' | 'wait';
}

/** Files of many gigabytes take long. */
const MAX_WAIT_MS = 3_600_000;

/**
 * Does nothing when the file is there.
 * @param check looks into what has come, before it gets its name; what it refuses is removed
 * @throws SlipError `data` when it cannot be downloaded (what has come stays for the next try), and what `check` throws
 */
export async function downloadFile(
  url: string,
  file: string,
  check: (part: string) => Promise<void>,
  options: FileDownloadOptions = {},
): Promise<void> {
  if ((await stat(file).catch(() => undefined)) !== undefined) return;
  const folder = path.dirname(file);
  await mkdir(folder, { recursive: true }).catch((error: Error) => {
    throw new SlipError('data', `cannot make the folder ${folder}: ${error.message}`, { cause: error });
  });
  const part = `${file}.part`;
  const waitMs = options.whenLocked === 'wait' ? MAX_WAIT_MS : 0;
  await withDownloadLock(`${part}.lock`, waitMs, async () => {
    if ((await stat(file).catch(() => undefined)) !== undefined) return;
    await downloadInParts(url, part, options);
    try {
      await check(part);
    } catch (error) {
      await rm(part, { force: true });
      await rm(`${part}.json`, { force: true });
      throw error;
    }
    await rename(part, file);
    await rm(`${part}.json`, { force: true });
    await syncFolder(folder);
  });
}

async function downloadInParts(url: string, part: string, options: FileDownloadOptions): Promise<void> {
  const retries = options.retries ?? 5;
  for (let attempt = 0; ; attempt++) {
    const before = await sizeOf(part);
    try {
      await downloadOnce(url, part, options);
      return;
    } catch (error) {
      const come = await sizeOf(part);
      if (error instanceof SlipError) throw error;
      // Progress earns another round of tries; a server that never answers does not.
      if (come > before) attempt = 0;
      if (attempt >= retries) throw unreachable(url, part, come, error as Error);
    }
  }
}

/** What is known of the file of which a part has come. */
interface PartFacts {
  readonly totalBytes: number;
  /** Entity tag or date; a file that changed in between must be begun again. */
  readonly version: string;
}

async function downloadOnce(url: string, part: string, options: FileDownloadOptions): Promise<void> {
  const facts = await readFacts(part);
  const have = facts === undefined ? 0 : await sizeOf(part);
  if (facts !== undefined && have === facts.totalBytes) return;
  const stall = new AbortController();
  const watch = setTimeout(() => stall.abort(new Error(`no data for ${stallMs(options) / 1000} s`)), stallMs(options));
  try {
    const response = await fetch(url, {
      signal: stall.signal,
      headers: {
        'accept-encoding': 'identity',
        ...(have > 0 && facts !== undefined ? { range: `bytes=${have}-`, 'if-range': facts.version } : {}),
      },
    });
    if (response.status === 416) await rm(part, { force: true });
    if (!response.ok || response.body === null) await refuse(url, response);
    const begin = response.status === 206 ? rangeStart(response) : 0;
    if (begin !== 0 && begin !== have)
      throw new Error(`the server sent bytes from ${begin} on, ${have} were asked for`);
    const totalBytes = begin + Number(response.headers.get('content-length') ?? Number.NaN);
    if (!Number.isSafeInteger(totalBytes)) {
      await response.body?.cancel();
      throw new SlipError(
        'data',
        `${url} does not say how long it is, so a whole download could not be told from a broken one`,
      );
    }
    await checkFreeSpace(part, totalBytes - begin, 'data');
    const version = response.headers.get('etag') ?? response.headers.get('last-modified') ?? '';
    await writeFile(`${part}.json`, JSON.stringify({ totalBytes, version: version.startsWith('W/') ? '' : version }));
    let done = begin;
    const body = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]);
    body.on('data', (piece: Uint8Array) => {
      watch.refresh();
      done += piece.length;
      options.onProgress?.(done, totalBytes);
    });
    await pipeline(body, createWriteStream(part, { flags: begin > 0 ? 'a' : 'w' }));
    const come = await sizeOf(part);
    if (come !== totalBytes) throw new Error(`the connection ended after ${come} of ${totalBytes} bytes`);
    await syncFile(part);
  } finally {
    clearTimeout(watch);
  }
}

function stallMs({ stallMs: milliseconds }: FileDownloadOptions): number {
  return milliseconds ?? 60_000;
}

function rangeStart(response: Response): number {
  return Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1] ?? Number.NaN);
}

/** Errors of the server itself may pass; what it refuses will stay refused. */
async function refuse(url: string, response: Response): Promise<never> {
  await response.body?.cancel();
  if (response.status >= 500 || response.status === 416 || response.status === 429) {
    throw new Error(`the server answered ${response.status}`);
  }
  throw new SlipError('data', `${url} answered ${response.status} ${response.statusText}; is the address right?`);
}

async function readFacts(part: string): Promise<PartFacts | undefined> {
  const text = await readFile(`${part}.json`, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const { totalBytes, version } = JSON.parse(text);
    return Number.isSafeInteger(totalBytes) && typeof version === 'string' && version !== ''
      ? { totalBytes, version }
      : undefined;
  } catch {
    return undefined;
  }
}

async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? 0;
}

async function syncFile(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function unreachable(url: string, part: string, come: number, error: Error): SlipError {
  const cause = error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
  return new SlipError(
    'data',
    `cannot download ${url}: ${cause}; ${come} bytes are kept in ${part} and the same command continues there; without a ` +
      `network, put the file into ${path.dirname(part)} by other means`,
    { cause: error },
  );
}
