// The header of a safetensors file, both ways: 8 bytes length (u64, little endian), JSON padded with spaces to a multiple
// of 8, then the data. Pure; a header read from a file is treated as hostile. Reading and writing the data is elsewhere.
// Format: github.com/huggingface/safetensors, README "Format".
import { invariant, SlipError } from '@slip/core';
import { byteLengthOf, elementCount, type WritableTensor } from './named-tensor.js';

/** Bytes per element of every dtype the format defines; sub-byte types are not among them. */
const DTYPE_BYTES: ReadonlyMap<string, number> = new Map([
  ...(['BOOL', 'U8', 'I8', 'F8_E4M3', 'F8_E5M2'] as const).map((name) => [name, 1] as const),
  ...(['U16', 'I16', 'F16', 'BF16'] as const).map((name) => [name, 2] as const),
  ...(['U32', 'I32', 'F32'] as const).map((name) => [name, 4] as const),
  ...(['U64', 'I64', 'F64', 'C64'] as const).map((name) => [name, 8] as const),
]);

/** Longer headers are refused unread, as the format's own library does. */
export const MAX_HEADER_BYTES = 100_000_000;
export const LENGTH_BYTES = 8;

export interface SafetensorsEntry {
  readonly name: string;
  /** One of the format's names, such as `F32`, `I64`, `F16`. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** First byte, counted from the start of the file. */
  readonly begin: number;
  /** One past the last byte. */
  readonly end: number;
}

export interface SafetensorsHeader {
  /** In the order of their data. */
  readonly tensors: readonly SafetensorsEntry[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly fileBytes: number;
}

/** The bytes in front of the data, and the tensors in the order in which their data must follow. */
export function encodeHeader(
  tensors: readonly WritableTensor[],
  metadata: Readonly<Record<string, string>>,
): { bytes: Uint8Array; ordered: readonly WritableTensor[] } {
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    const expected = elementCount(shape) * (DTYPE_BYTES.get(dtype) ?? Number.NaN);
    invariant(
      expected === byteLengthOf(tensor),
      `${name} has ${byteLengthOf(tensor)} bytes, its ${dtype} shape [${shape}] says otherwise`,
    );
    if ('data' in tensor) {
      const isFloat = tensor.data instanceof Float32Array;
      invariant((dtype === 'F32') === isFloat, `${name} is ${dtype} but its array is another type`);
    }
    invariant(name !== '__metadata__', 'a tensor cannot be named __metadata__');
  }
  invariant(new Set(tensors.map(({ name }) => name)).size === tensors.length, 'two tensors of a file share a name');
  // Widest elements first, so that every tensor is aligned to its own element size whatever the others' lengths.
  const ordered = [8, 4, 2, 1].flatMap((width) => tensors.filter(({ dtype }) => DTYPE_BYTES.get(dtype) === width));
  const members: string[] = [];
  if (Object.keys(metadata).length > 0) members.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let offset = 0;
  for (const tensor of ordered) {
    const { name, dtype, shape } = tensor;
    const offsets = [offset, offset + byteLengthOf(tensor)];
    members.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: offsets })}`);
    offset = offsets[1];
  }
  // Written member by member because an object would move names that look like integers to the front.
  const json = Buffer.from(`{${members.join(',')}}`, 'utf8');
  const bytes = new Uint8Array(LENGTH_BYTES + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - LENGTH_BYTES), true);
  bytes.set(json, LENGTH_BYTES);
  return { bytes, ordered };
}

/**
 * Checks the announced length before anything of that size is allocated.
 * @param file named in errors
 * @throws SlipError `checkpoint`
 */
export function parseHeaderLength(file: string, lengthBytes: Uint8Array, fileBytes: number): number {
  if (lengthBytes.length < LENGTH_BYTES) throw damaged(file, `is only ${fileBytes} bytes long`);
  const length = Buffer.from(lengthBytes).readBigUInt64LE(0);
  if (length > BigInt(MAX_HEADER_BYTES)) throw damaged(file, `announces a header of ${length} bytes`);
  if (length > BigInt(fileBytes - LENGTH_BYTES)) {
    throw damaged(file, `announces a header of ${length} bytes but has only ${fileBytes} in all`);
  }
  return Number(length);
}

/**
 * @param json the header's bytes, padding included
 * @throws SlipError `checkpoint` unless the tensors have known types, agree with their shapes and tile the data exactly
 */
export function parseHeader(file: string, json: Uint8Array, fileBytes: number): SafetensorsHeader {
  const members = parseObject(file, json);
  const dataStart = LENGTH_BYTES + json.length;
  const tensors: SafetensorsEntry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of members) {
    if (name === '__metadata__') metadata = parseMetadata(file, value);
    else tensors.push(parseEntry(file, name, value, dataStart));
  }
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let expected = dataStart;
  for (const { name, begin, end } of tensors) {
    if (begin < expected) throw damaged(file, `tensor ${name} overlaps another one`);
    if (begin > expected) throw damaged(file, `has ${begin - expected} unclaimed bytes before tensor ${name}`);
    expected = end;
  }
  if (expected !== fileBytes) throw damaged(file, `is ${fileBytes} bytes long, its header says ${expected}`);
  return { tensors, metadata, fileBytes };
}

function parseObject(file: string, json: Uint8Array): [string, unknown][] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (error) {
    throw damaged(file, 'has a header that is not JSON', error);
  }
  if (!isObject(parsed)) throw damaged(file, 'has a header that is not a JSON object');
  return Object.entries(parsed);
}

function parseMetadata(file: string, value: unknown): Record<string, string> {
  if (!isObject(value)) throw damaged(file, 'has __metadata__ that is not an object');
  return Object.fromEntries(
    Object.entries(value).map(([key, text]) => {
      if (typeof text !== 'string') throw damaged(file, `has __metadata__.${key} that is not a string`);
      return [key, text];
    }),
  );
}

function parseEntry(file: string, name: string, value: unknown, dataStart: number): SafetensorsEntry {
  const { dtype, shape, data_offsets: offsets } = isObject(value) ? value : {};
  const elementBytes = typeof dtype === 'string' ? DTYPE_BYTES.get(dtype) : undefined;
  if (typeof dtype !== 'string' || elementBytes === undefined) {
    throw damaged(file, `tensor ${name} has the unknown type ${JSON.stringify(dtype)}`);
  }
  if (!isCountList(shape)) throw damaged(file, `tensor ${name} has the shape ${JSON.stringify(shape)}`);
  if (!isCountList(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
    throw damaged(file, `tensor ${name} has the offsets ${JSON.stringify(offsets)}`);
  }
  const [begin, end] = offsets;
  if (end - begin !== elementCount(shape) * elementBytes) {
    throw damaged(file, `tensor ${name} is ${dtype} [${shape}] but occupies ${end - begin} bytes`);
  }
  return { name, dtype, shape, begin: dataStart + begin, end: dataStart + end };
}

function isCountList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function damaged(file: string, what: string, cause?: unknown): SlipError {
  return new SlipError('checkpoint', `${file} ${what}; it is damaged or not a safetensors file`, { cause });
}
