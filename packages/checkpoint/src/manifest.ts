// manifest.json and COMMIT of a checkpoint: what the folder must hold to be whole. Pure text in, facts out.
import { createHash } from 'node:crypto';
import { invariant, SlipError } from '@slip/core';

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** Raised when an older program could not read the folder rightly any more. */
export const FORMAT_VERSION = 1;
export const MANIFEST_NAME = 'manifest.json';
/** Holds the manifest's SHA-256; written after everything else is on disk. */
export const COMMIT_NAME = 'COMMIT';
const FORMAT_NAME = 'slip-checkpoint';
const SHARD_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]*\.safetensors$/;

export interface ManifestShard {
  /** Name inside the folder. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

export interface Manifest {
  readonly formatVersion: number;
  readonly step: number;
  /** When it was written, ISO 8601. */
  readonly createdAt: string;
  /** By logical name (`model`, `optimizer`): one safetensors file or several that together hold its tensors. */
  readonly files: Readonly<Record<string, readonly ManifestShard[]>>;
  readonly state: JsonObject;
}

export function encodeManifest(manifest: Omit<Manifest, 'formatVersion'>): string {
  refuseLossyNumbers(manifest.state, 'state');
  return `${JSON.stringify({ format: FORMAT_NAME, formatVersion: FORMAT_VERSION, ...manifest }, null, 2)}\n`;
}

export function encodeCommit(manifestText: string): string {
  return `${sha256Of(manifestText)}\n`;
}

/**
 * @param commitText undefined where the file is missing
 * @returns the manifest, or the reason why the folder cannot be trusted
 * @throws SlipError `checkpoint` for a format newer than this program
 */
export function parseManifest(
  folder: string,
  manifestText: string | undefined,
  commitText: string | undefined,
): { manifest: Manifest } | { reason: string } {
  if (commitText === undefined) return { reason: 'COMMIT is missing, so its save was never finished' };
  if (manifestText === undefined) return { reason: 'manifest.json is missing' };
  refuseNewerFormat(folder, manifestText);
  if (commitText !== encodeCommit(manifestText)) {
    return { reason: 'manifest.json and COMMIT do not belong together (one is truncated or changed)' };
  }
  const document = tryJson(manifestText);
  if (!isManifest(document)) return { reason: 'manifest.json is not a checkpoint manifest' };
  return { manifest: document };
}

function refuseNewerFormat(folder: string, manifestText: string): void {
  const version = (tryJson(manifestText) as { formatVersion?: unknown } | null | undefined)?.formatVersion;
  if (typeof version !== 'number' || version <= FORMAT_VERSION) return;
  throw new SlipError(
    'checkpoint',
    `${folder} has checkpoint format ${version}, this program reads formats up to ${FORMAT_VERSION}; ` +
      'continue with the newer program that wrote it, or start in another run folder',
  );
}

function isManifest(value: unknown): value is Manifest {
  const document = value as Partial<Manifest & { format: string }> | null | undefined;
  if (document?.format !== FORMAT_NAME || document.formatVersion !== FORMAT_VERSION) return false;
  if (!Number.isSafeInteger(document.step) || typeof document.state !== 'object' || document.state === null)
    return false;
  if (typeof document.files !== 'object' || document.files === null) return false;
  return Object.values(document.files).every((shards) => Array.isArray(shards) && shards.every(isShard));
}

/** The name is checked so that no manifest can point outside its folder. */
function isShard(value: unknown): value is ManifestShard {
  const shard = value as Partial<ManifestShard> | null | undefined;
  return (
    typeof shard?.name === 'string' &&
    SHARD_NAME.test(shard.name) &&
    Number.isSafeInteger(shard.sizeBytes) &&
    typeof shard.sha256 === 'string'
  );
}

/** JSON would turn NaN and infinities into null, and minus zero into zero, without a word. */
function refuseLossyNumbers(value: JsonValue, where: string): void {
  if (typeof value === 'number') {
    invariant(
      Number.isFinite(value) && !Object.is(value, -0),
      `${where} is ${Object.is(value, -0) ? '-0' : value}, which JSON cannot hold`,
    );
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) refuseLossyNumbers(item, `${where}.${key}`);
  }
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
