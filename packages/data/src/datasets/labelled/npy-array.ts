// A whole one-dimensional numpy array of texts or numbers, as lists of files and labels are stored.
import { readFile } from 'node:fs/promises';
import { SlipError } from '@slip/core';
import { NumpyArray, NumpyDtype, numpyElements, PickleInput, unpickle } from '@slip/pickle';
import { readNpyHeader } from '../npy-header.js';
import { shown } from '../set-reader.js';

/** @throws SlipError `data` naming the file and what is in it */
export async function readNpyArray(file: string): Promise<(string | number)[]> {
  const { descr, shape, dataOffset } = await readNpyHeader(file);
  if (shape.length !== 1) throw wrong(file, `has the shape (${shape}); a plain list is wanted`);
  const bytes = (await readFile(file)).subarray(dataOffset);
  const elements = descr.endsWith('O') ? objects(file, bytes) : numpyElements(plainArray(file, descr, shape[0], bytes));
  return elements.map((element, i) => {
    const value = element instanceof Uint8Array ? Buffer.from(element).toString('utf8').replace(/\0+$/, '') : element;
    if (typeof value === 'string' || typeof value === 'number') return value;
    throw wrong(file, `has ${shown(value)} as item ${i}; texts or numbers are wanted`);
  });
}

function plainArray(file: string, descr: string, length: number, bytes: Uint8Array): NumpyArray {
  const match = /^([<>=|]?)([iufUSb]\d+)$/.exec(descr);
  if (match === null) throw wrong(file, `has elements of type ${descr}; texts or numbers are wanted`);
  const array = new NumpyArray();
  array.dtype = new NumpyDtype(match[2]);
  array.dtype.littleEndian = match[1] !== '>';
  const size = Number(match[2].slice(1)) * (match[2].startsWith('U') ? 4 : 1);
  if (bytes.length < length * size) throw wrong(file, `ends after ${bytes.length} of ${length * size} bytes`);
  array.shape = [length];
  array.data = bytes.subarray(0, length * size);
  return array;
}

function objects(file: string, bytes: Uint8Array) {
  const value = unpickle(PickleInput.fromBytes(bytes, { file, errorCode: 'data' }));
  if (value instanceof NumpyArray) return numpyElements(value);
  if (Array.isArray(value)) return value;
  throw wrong(file, 'is a pickle, but not of a list');
}

function wrong(file: string, what: string): SlipError {
  return new SlipError('data', `${file} ${what}`);
}
