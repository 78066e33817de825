// The items of a pickled list or object array, batch by batch, with progress.
import { closeSync, fstatSync, openSync } from 'node:fs';
import { SlipError } from '@slip/core';
import { PickleInput, type PickleValue, unpickleItems } from '@slip/pickle';
import type { Scan } from './set-reader.js';

/**
 * @param begin where the pickle begins in the file
 * @param isWanted whether the pickle as a whole is of the right kind
 * @throws SlipError `data` naming file and byte
 */
export async function* pickledItems(
  file: string,
  begin: number,
  { progress }: Scan,
  isWanted: (whole: PickleValue) => boolean,
): AsyncGenerator<PickleValue[]> {
  const fd = openSync(file, 'r');
  try {
    const length = fstatSync(fd).size - begin;
    const input = PickleInput.fromFile(fd, begin, length, { file, errorCode: 'data' });
    const items = unpickleItems(input);
    for (;;) {
      const { done, value } = items.next();
      if (done === true) {
        if (isWanted(value)) return;
        throw new SlipError('data', `${file} is a pickle, but not of a list of records`);
      }
      progress.part = input.offset / length;
      yield value;
    }
  } finally {
    closeSync(fd);
  }
}
