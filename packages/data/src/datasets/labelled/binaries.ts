// The sets that torchvision reads from binary files: CIFAR-10 and -100 (pickles), STL-10 and MNIST, in the folders that it makes.
import { open, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';
import { NumpyArray, PickleInput, type PickleValue, unpickle } from '@slip/pickle';
import { classList } from '../../downstream/class-list.js';
import { type RawFormat, rawBytes, rawPicture } from '../../images/pixel-source.js';
import type { LabelledReader, PictureRecord } from './labelled-reader.js';

/** Pictures of one file, with the label of each. */
interface Part {
  readonly file: string;
  /** Where the first one begins. */
  readonly begin: number;
  readonly labels: ArrayLike<number>;
}

function binaryReader(
  folder: string,
  format: RawFormat,
  files: (split: string) => readonly string[],
  parts: (files: readonly string[]) => AsyncIterable<Part>,
): LabelledReader {
  return {
    sources: ({ root, split = 'test' }) => files(split).map((name) => path.join(root, folder, name)),
    wanted: ({ dataset }) => `slip-data prepare ${dataset} downloads it`,
    async scan(location) {
      const { dataset } = location;
      const classes = classList(dataset)!.map(({ folder: name }) => name);
      return { classes, records: recordsOf(parts(this.sources(location)), classes.length, format) };
    },
    picture: ({ root }, place, offset) => rawPicture(path.join(root, folder, place), offset, format),
  };
}

async function* recordsOf(
  parts: AsyncIterable<Part>,
  numClasses: number,
  format: RawFormat,
): AsyncGenerator<PictureRecord> {
  const size = rawBytes(format);
  for await (const { file, begin, labels } of parts) {
    for (let i = 0; i < labels.length; i++) {
      if (!(labels[i] >= 0 && labels[i] < numClasses))
        throw wrong(file, `has a label for class ${labels[i]} with picture ${i}; there are ${numClasses} classes`);
      yield { label: labels[i], place: path.basename(file), offset: begin + i * size };
    }
  }
}

const CIFAR_FORMAT: RawFormat = { width: 32, height: 32, layout: 'planar' };

export const cifar10 = binaryReader(
  'cifar-10-batches-py',
  CIFAR_FORMAT,
  (split) => (split === 'train' ? [1, 2, 3, 4, 5].map((k) => `data_batch_${k}`) : ['test_batch']),
  (files) => cifarParts(files, 'labels'),
);

export const cifar100 = binaryReader(
  'cifar-100-python',
  CIFAR_FORMAT,
  (split) => [split],
  (files) => cifarParts(files, 'fine_labels'),
);

async function* cifarParts(files: readonly string[], labelKey: string): AsyncGenerator<Part> {
  for (const file of files) {
    const bytes = await readFile(file);
    const value = unpickle(PickleInput.fromBytes(bytes, { file, errorCode: 'data' }));
    const entries = value instanceof Map ? new Map([...value].map(([key, item]) => [keyText(key), item])) : new Map();
    const [pixels, labels] = [entries.get('data'), entries.get(labelKey)];
    const size = rawBytes(CIFAR_FORMAT);
    if (!(pixels instanceof NumpyArray) || pixels.shape[1] !== size || !(pixels.data instanceof Uint8Array))
      throw wrong(file, `has no "data" of rows of ${size} bytes; is it one of CIFAR's Python files?`);
    if (!isNumbers(labels) || labels.length !== pixels.shape[0])
      throw wrong(file, `has no "${labelKey}" with a number for each of its ${pixels.shape[0]} pictures`);
    yield { file, begin: placeOf(file, bytes, pixels.data), labels };
  }
}

/** Pictures are read from where they lie in the pickle, which holds them as one piece. */
function placeOf(file: string, bytes: Buffer, pixels: Uint8Array): number {
  const begin = bytes.indexOf(pixels.subarray(0, rawBytes(CIFAR_FORMAT)));
  if (begin !== -1 && bytes.subarray(begin, begin + pixels.length).equals(pixels)) return begin;
  throw wrong(file, 'holds its pictures in an encoded form; write it again with a pickle protocol of at least 3');
}

function keyText(key: PickleValue): string {
  return key instanceof Uint8Array ? Buffer.from(key).toString('latin1') : String(key);
}

function isNumbers(value: PickleValue | undefined): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'number');
}

const STL_FORMAT: RawFormat = { width: 96, height: 96, layout: 'columns' };

export const stl10 = binaryReader(
  'stl10_binary',
  STL_FORMAT,
  (split) => [`${split}_X.bin`, `${split}_y.bin`],
  async function* ([file, labelFile]) {
    const stored = await readFile(labelFile);
    await wantBytes(file, stored.length * rawBytes(STL_FORMAT), `${stored.length} pictures`);
    yield { file, begin: 0, labels: Int16Array.from(stored, (label) => label - 1) };
  },
);

const MNIST_FORMAT: RawFormat = { width: 28, height: 28, layout: 'grey' };
const IMAGES_HEADER_BYTES = 16;

export const mnist = binaryReader(
  'MNIST/raw',
  MNIST_FORMAT,
  (split) => {
    const prefix = split === 'train' ? 'train' : 't10k';
    return [`${prefix}-images-idx3-ubyte`, `${prefix}-labels-idx1-ubyte`];
  },
  async function* ([file, labelFile]) {
    const { width, height } = MNIST_FORMAT;
    const stored = await readFile(labelFile);
    const count = stored.length - 8;
    if (count < 0 || stored.readUInt32BE(0) !== 0x801 || stored.readUInt32BE(4) !== count)
      throw wrong(labelFile, 'is no IDX file of labels with as many of them as it says');
    const header = await readStart(file, IMAGES_HEADER_BYTES);
    const numbers = [0, 4, 8, 12].map((at) => header.readUInt32BE(at));
    if (`${numbers}` !== `${[0x803, count, height, width]}`)
      throw wrong(file, `is no IDX file of ${count} pictures of ${height} x ${width}; its header has ${numbers}`);
    await wantBytes(file, IMAGES_HEADER_BYTES + count * rawBytes(MNIST_FORMAT), `${count} pictures`);
    yield { file, begin: IMAGES_HEADER_BYTES, labels: stored.subarray(8) };
  },
);

async function readStart(file: string, bytes: number): Promise<Buffer> {
  const handle = await open(file, 'r');
  try {
    const start = Buffer.alloc(bytes);
    await handle.read(start, 0, bytes, 0);
    return start;
  } finally {
    await handle.close();
  }
}

async function wantBytes(file: string, bytes: number, what: string): Promise<void> {
  const { size } = await stat(file);
  if (size !== bytes) throw wrong(file, `has ${size} bytes; ${what} make ${bytes}`);
}

function wrong(file: string, what: string): SlipError {
  return new SlipError('data', `${file} ${what}`);
}
